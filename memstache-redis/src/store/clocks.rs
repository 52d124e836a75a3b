//! What time it is on each server.

use std::{collections::HashMap, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use memstache_core::{Tick, Version};
use parking_lot::RwLock;

/// Servers that are remembered; more come only where servers keep changing their names.
const MOST: usize = 4096;

/// How far the clock of each server is ahead of ours, at least; in µs.
#[derive(Debug, Default)]
pub(super) struct ServerClocks(RwLock<HashMap<Arc<str>, i64, RandomState>>);

/// What a write carries so that it cannot happen after its time; in µs of the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The server refuses the write after this. 0 where its time is unknown: it refuses, and tells.
    pub(crate) not_after: u64,
    /// When the writer sent it.
    pub(super) stamp: u64,
}

/// What the fence of an item must reach that was refused as late, by a writer that is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) not_after: u64,
    pub(super) stamp: u64,
}

impl Floor {
    /// The floor of a writer that waits for so long yet and knows of `version`, by the time of the server that refused.
    pub(super) fn new(version: Version, server_ms: u64, left: Duration) -> Self {
        let left = u64::try_from(left.as_micros()).unwrap_or(u64::MAX);
        let not_after = version.0.max(server_ms.saturating_mul(1000)).saturating_add(left);
        Self { not_after, stamp: version.0 }
    }

    pub(super) fn max(self, other: Self) -> Self {
        Self { not_after: self.not_after.max(other.not_after), stamp: self.stamp.max(other.stamp) }
    }
}

impl Fence {
    /// Raises the fence to a floor.
    pub(super) fn reach(self, floor: Floor) -> Self {
        Self { not_after: self.not_after.max(floor.not_after), stamp: self.stamp.max(floor.stamp) }
    }
}

impl ServerClocks {
    /// Takes note of a time that an answer carried, which arrived at `now`.
    ///
    /// The answer took a while, so the server is further ahead than it seems: what is not after a deadline by this
    /// measure is not after it in truth.
    pub(super) fn note(&self, server: &Arc<str>, server_us: u64, now: Tick) {
        // The tick has begun up to a millisecond ago.
        let local = now.as_millis().saturating_add(1).saturating_mul(1000);
        let ahead = (server_us as i64).saturating_sub_unsigned(local);
        if self.0.read().get(server).is_some_and(|known| *known == ahead) {
            return;
        }
        let mut clocks = self.0.write();
        if clocks.len() >= MOST {
            clocks.clear();
        }
        clocks.insert(Arc::clone(server), ahead);
    }

    /// Makes the fence of a write that is given up at `deadline`.
    pub(super) fn fence(&self, server: &str, now: Tick, deadline: Tick) -> Fence {
        let Some(ahead) = self.0.read().get(server).copied() else { return Fence { not_after: 0, stamp: 0 } };
        let there = |tick: Tick| tick.as_millis().saturating_mul(1000).saturating_add_signed(ahead);
        Fence { not_after: there(deadline), stamp: there(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_never_later_than_the_deadline() {
        let clocks = ServerClocks::default();
        let server: Arc<str> = "h:1".into();
        let (now, deadline) = (Tick::from_millis(1_000), Tick::from_millis(3_000));
        assert_eq!(clocks.fence(&server, now, deadline), Fence { not_after: 0, stamp: 0 });
        // The server's clock is 500 ms ahead; the answer took 20 ms.
        clocks.note(&server, 1_480_000, Tick::from_millis(1_000));
        let fence = clocks.fence(&server, now, deadline);
        assert!(fence.not_after <= 3_500_000 && fence.not_after > 3_400_000, "{fence:?}");
        // Behind ours, too.
        clocks.note(&server, 400_000, Tick::from_millis(1_000));
        assert!(clocks.fence(&server, now, deadline).not_after <= 2_400_000);
    }

    #[test]
    fn a_floor_raises_what_is_below() {
        let floor = Floor::new(Version(7_000_000), 5_000, Duration::from_secs(1));
        assert_eq!(floor, Floor { not_after: 8_000_000, stamp: 7_000_000 }, "a version ahead of the server");
        assert_eq!(Floor::new(Version(0), 5_000, Duration::from_secs(1)).not_after, 6_000_000);
        assert_eq!(Fence { not_after: 0, stamp: 0 }.reach(floor), Fence { not_after: 8_000_000, stamp: 7_000_000 });
        let fence = Fence { not_after: 9_000_000, stamp: 8_000_000 };
        assert_eq!(fence.reach(floor), fence);
    }

    #[test]
    fn memory_is_bounded() {
        let clocks = ServerClocks::default();
        for port in 0..10_000 {
            clocks.note(&format!("h:{port}").into(), 1, Tick::from_millis(1));
        }
        assert!(clocks.0.read().len() <= MOST);
    }
}
