//! What time it is on each server.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use memstache_core::Tick;
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
    fn memory_is_bounded() {
        let clocks = ServerClocks::default();
        for port in 0..10_000 {
            clocks.note(&format!("h:{port}").into(), 1, Tick::from_millis(1));
        }
        assert!(clocks.0.read().len() <= MOST);
    }
}
