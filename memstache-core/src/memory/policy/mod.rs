//! Which entry goes when a store is full.

mod lru;

pub use self::lru::Lru;

/// Which entry of a shard: a dense id, given again after its entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

impl SlotId {
    /// Returns the id as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Decides which entry of one shard goes next.
///
/// Each shard of a store has a policy of its own and calls it under the shard's lock: be short, never block. A policy
/// sees no keys and no values, only slots, hashes and weights (in bytes). The store guarantees that a slot is told to
/// [`record_insert`](Self::record_insert) before anything else, and to [`record_remove`](Self::record_remove) exactly
/// once before it is given again.
///
/// ```
/// use std::collections::VecDeque;
/// use memstache_core::{EvictionPolicy, MemoryStore, SlotId};
///
/// /// First in, first out.
/// #[derive(Debug, Default)]
/// struct Fifo(VecDeque<SlotId>);
///
/// impl EvictionPolicy for Fifo {
///     fn record_insert(&mut self, slot: SlotId, _hash: u64, _weight: usize) {
///         self.0.push_back(slot);
///     }
///     fn record_access(&mut self, _slot: SlotId) {}
///     fn record_remove(&mut self, slot: SlotId) {
///         self.0.retain(|held| *held != slot);
///     }
///     fn select_victim(&mut self) -> Option<SlotId> {
///         self.0.front().copied()
///     }
/// }
///
/// let store: MemoryStore<Fifo> = MemoryStore::builder().policy(|_share| Fifo::default()).build()?;
/// # Ok::<(), memstache_core::Error>(())
/// ```
pub trait EvictionPolicy: Send + 'static {
    /// Takes note of a new entry.
    fn record_insert(&mut self, slot: SlotId, hash: u64, weight: usize);

    /// Takes note that an entry was read.
    fn record_access(&mut self, slot: SlotId);

    /// Takes note that an entry's value was replaced by one of another weight. Default: it counts as a read.
    fn record_update(&mut self, slot: SlotId, _weight: usize) {
        self.record_access(slot);
    }

    /// Takes note that a key was asked for and is not here. Default: nothing.
    fn record_miss(&mut self, _hash: u64) {}

    /// Takes note that an entry went, for whatever reason.
    fn record_remove(&mut self, slot: SlotId);

    /// Returns which entry should go next; `None` only when there are none.
    ///
    /// The store then asks [`admit`](Self::admit) and removes the entry, or leaves it.
    fn select_victim(&mut self) -> Option<SlotId>;

    /// Returns whether a new entry is worth more than the victim; if not, the new one goes at once. Default: yes.
    fn admit(&mut self, _hash: u64, _weight: usize, _victim: SlotId) -> bool {
        true
    }
}
