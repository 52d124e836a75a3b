//! What time it is on each server.

use std::{collections::HashMap, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use memstache_core::{Tick, Version};
use parking_lot::RwLock;

/// Servers that are remembered; more come only where servers keep changing their names.
const MOST: usize = 4096;

/// How long what is known of a clock holds for reads: it may be set meanwhile. Servers are asked anew more often while
/// there is something to do.
const HOLDS: Duration = Duration::from_secs(2);

/// How far the clock of each server is ahead of ours.
#[derive(Debug, Default)]
pub(crate) struct ServerClocks(RwLock<HashMap<Arc<str>, Offset, RandomState>>);

/// How far a clock is ahead of ours, in µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offset {
    least: i64,
    most: i64,
    noted: Tick,
}

impl Offset {
    /// What an answer shows that was sent for at one tick and arrived at another.
    fn of(server_us: u64, sent_at: Tick, now: Tick) -> Self {
        let us = |millis: u64| millis.saturating_mul(1000);
        // A tick has begun up to a millisecond ago.
        let least = (server_us as i64).saturating_sub_unsigned(us(now.as_millis().saturating_add(1)));
        Self { least, most: (server_us as i64).saturating_sub_unsigned(us(sent_at.as_millis())), noted: now }
    }

    /// Keeps what both say. Clocks drift apart by less than a thousandth; one that was set has another offset.
    fn narrowed(self, newer: Self) -> Self {
        let drift = i64::try_from(newer.noted.since(self.noted).as_millis()).unwrap_or(i64::MAX);
        let most = newer.most.min(self.most.saturating_add(drift));
        let least = newer.least.max(self.least.saturating_sub(drift));
        if least > most { newer } else { Self { least, most, ..newer } }
    }
}

/// What a write carries so that it cannot happen after its time; in µs of the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The server refuses the write after this. 0 where its time is unknown: it refuses, and tells.
    pub(crate) not_after: u64,
    /// When the writer sent it.
    pub(crate) stamp: u64,
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

/// Makes the fences of what is sent together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fences {
    /// How far the server's clock is ahead of ours at least, µs.
    ahead: Option<i64>,
    now: Tick,
    latest: Tick,
}

impl Fences {
    /// Makes the fence of a write that is given up at `deadline`.
    pub(crate) fn until(self, deadline: Tick) -> Fence {
        let Some(ahead) = self.ahead else { return Fence { not_after: 0, stamp: 0 } };
        let there = |tick: Tick| tick.as_millis().saturating_mul(1000).saturating_add_signed(ahead);
        Fence { not_after: there(deadline.min(self.latest)), stamp: there(self.now) }
    }
}

impl ServerClocks {
    /// Takes note of a time that an answer carried, which was sent for at `sent_at` and arrived at `now`.
    pub(crate) fn note(&self, server: &Arc<str>, server_us: u64, sent_at: Tick, now: Tick) {
        let seen = Offset::of(server_us, sent_at, now);
        let mut clocks = self.0.write();
        if let Some(known) = clocks.get_mut(server) {
            *known = known.narrowed(seen);
            return;
        }
        if clocks.len() >= MOST {
            clocks.clear();
        }
        clocks.insert(Arc::clone(server), seen);
    }

    /// Returns the latest time, in ms, that it may be on a server at a tick; `None` if that is not known well.
    pub(super) fn latest(&self, server: &str, at: Tick) -> Option<u64> {
        let known = *self.0.read().get(server)?;
        let age = at.since(known.noted);
        let drift = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let us = at.as_millis().saturating_add(1).saturating_mul(1000);
        (age <= HOLDS).then(|| us.saturating_add_signed(known.most.saturating_add(drift)).div_ceil(1000))
    }

    /// Returns what fences go by of what is sent to a server at `now`, and is given up at `latest` in any case.
    pub(super) fn fences(&self, server: &str, now: Tick, latest: Tick) -> Fences {
        // At least so far ahead: what is not after a deadline by this measure is not after it in truth.
        Fences { ahead: self.0.read().get(server).map(|known| known.least), now, latest }
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
        assert_eq!(clocks.fences(&server, now, deadline).until(deadline), Fence { not_after: 0, stamp: 0 });
        // The server's clock is 500 ms ahead; the answer took 20 ms.
        clocks.note(&server, 1_480_000, Tick::from_millis(960), Tick::from_millis(1_000));
        let fence = clocks.fences(&server, now, deadline).until(deadline);
        assert!(fence.not_after <= 3_500_000 && fence.not_after > 3_400_000, "{fence:?}");
        let earlier = clocks.fences(&server, now, Tick::from_millis(2_000)).until(deadline);
        assert_eq!(earlier.not_after, fence.not_after - 1_000_000, "it is given up earlier than it need be");
        // Behind ours, too.
        clocks.note(&server, 400_000, Tick::from_millis(990), Tick::from_millis(1_000));
        assert!(clocks.fences(&server, now, deadline).until(deadline).not_after <= 2_400_000);
    }

    #[test]
    fn a_time_is_never_later_than_the_latest() {
        let (clocks, server) = (ServerClocks::default(), Arc::<str>::from("h:1"));
        let at = Tick::from_millis;
        assert_eq!(clocks.latest(&server, at(0)), None);
        // Exactly 500 ms ahead; the answer took 80 ms, then 4 ms, then 80 ms again.
        clocks.note(&server, 1_520_000, at(1_000), at(1_080));
        assert_eq!(clocks.latest(&server, at(1_080)), Some(1_601));
        clocks.note(&server, 1_602_000, at(1_100), at(1_104));
        let narrow = clocks.latest(&server, at(1_104)).unwrap();
        assert!((1_604..=1_608).contains(&narrow), "{narrow}");
        clocks.note(&server, 1_720_000, at(1_150), at(1_230));
        let still = clocks.latest(&server, at(1_230)).unwrap();
        assert!((1_730..=1_735).contains(&still), "what was known better is kept: {still}");
        assert_eq!(clocks.latest(&server, at(3_231)), None, "clocks are set");
        // Set ahead by a minute, and back: what contradicts is not kept.
        for set in [61_000_000, 3_000_000] {
            clocks.note(&server, set, at(3_300), at(3_310));
            let latest = clocks.latest(&server, at(3_310)).unwrap();
            assert!(latest * 1000 >= set && latest * 1000 < set + 20_000, "{latest}");
        }
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
            clocks.note(&format!("h:{port}").into(), 1, Tick::from_millis(1), Tick::from_millis(1));
        }
        assert!(clocks.0.read().len() <= MOST);
    }
}
