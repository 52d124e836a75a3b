//! What a store has done.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{
    client::GuardedStats,
    listen::{LagHistogram, Listeners},
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
