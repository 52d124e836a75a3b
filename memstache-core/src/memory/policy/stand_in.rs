//! A stand-in, until W-TinyLFU comes.

use super::{EvictionPolicy, Lru, RemovalCause, SlotId};

/// Stands in for W-TinyLFU with an adaptive window: it is an [`Lru`].
#[expect(unnameable_types, reason = "named by an alias, until W-TinyLFU comes")]
#[derive(Debug)]
pub struct StandIn(Lru);

impl StandIn {
    /// Creates an empty policy.
    pub const fn new(_share_bytes: usize, _seed: u64) -> Self {
        Self(Lru::new())
    }
}

impl EvictionPolicy for StandIn {
    fn record_insert(&mut self, slot: SlotId, hash: u64, weight: usize) {
        self.0.record_insert(slot, hash, weight);
    }

    fn record_access(&self, slot: SlotId, hash: u64) {
        self.0.record_access(slot, hash);
    }

    fn record_remove(&mut self, slot: SlotId, cause: RemovalCause) {
        self.0.record_remove(slot, cause);
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        self.0.select_victim()
    }
}
