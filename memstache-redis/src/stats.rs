//! What a store has done.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memstache_core::PartHealth;

use crate::{
    client::GuardedStats,
    listen::{LagHistogram, Listeners},
    store::TIER,
};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    retries: AtomicU64,
    tag_checks: AtomicU64,
    oversized: AtomicU64,
}

impl Counters {
    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn tag_checks(&self, count: usize) {
        self.tag_checks.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn oversized(&self) {
        self.oversized.fetch_add(1, Relaxed);
    }
}

/// What a store has done, and how its servers were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisStats {
    /// Reads that were sent again.
    pub retries: u64,
    /// Entries whose tags were looked at one by one, because a tag of their space was invalidated since.
    pub tag_checks: u64,
    /// Values that were not stored because they are too large.
    pub oversized: u64,
    /// Servers that are known to be gone now.
    pub breakers_open: usize,
    /// Times that a server was found to be gone.
    pub breakers_opened: u64,
    /// Connections that were made anew because they hung.
    pub watchdog_reconnects: u64,
    /// Whether changes are told now; `None` if nobody subscribed.
    pub coherent: Option<bool>,
    /// How long changes take to be told.
    pub lag: LagHistogram,
}

impl RedisStats {
    /// Says how a store over so many primaries is.
    pub(crate) fn health(&self, servers: usize, refused: bool) -> PartHealth {
        let part = PartHealth::healthy(TIER)
            .with("servers", servers as u64)
            .with("servers_gone", self.breakers_open as u64)
            .with("breakers_opened", self.breakers_opened)
            .with("retries", self.retries);
        let part = match self.coherent {
            Some(coherent) => part.with("coherent", coherent),
            None => part,
        };
        if refused {
            part.down("redis refuses the credentials")
        } else if servers == 0 {
            part.down("no primary is known")
        } else if self.breakers_open >= servers {
            part.down("redis does not answer")
        } else if self.breakers_open > 0 {
            part.degraded("a primary does not answer")
        } else if self.coherent == Some(false) {
            part.degraded("changes are not told")
        } else {
            part
        }
    }

    pub(crate) fn new(counters: &Counters, guarded: GuardedStats, listeners: &Listeners) -> Self {
        Self {
            retries: counters.retries.load(Relaxed),
            tag_checks: counters.tag_checks.load(Relaxed),
            oversized: counters.oversized.load(Relaxed),
            breakers_open: guarded.open,
            breakers_opened: guarded.opened,
            watchdog_reconnects: guarded.reconnects,
            coherent: listeners.is_coherent(),
            lag: listeners.lag(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_for_each_state() {
        for (servers, breakers_open, coherent, refused, wanted) in [
            (1, 0, None, false, "healthy"),
            (3, 0, Some(true), false, "healthy"),
            (3, 0, Some(false), false, "degraded, changes are not told"),
            (3, 1, Some(false), false, "degraded, a primary does not answer"),
            (1, 1, None, false, "down, redis does not answer"),
            (0, 0, None, false, "down, no primary is known"),
            (0, 0, None, true, "down, redis refuses the credentials"),
        ] {
            let stats = RedisStats { breakers_open, coherent, ..RedisStats::default() };
            let shown = stats.health(servers, refused).to_string();
            assert!(shown.starts_with(&format!("redis: {wanted} (servers {servers}")), "{shown}");
        }
    }
}
