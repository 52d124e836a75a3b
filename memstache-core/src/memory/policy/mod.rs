//! Which entry goes when a store is full.

mod any;
mod boxed;
mod fifo;
mod ghost;
mod kind;
mod lfu;
pub(super) mod list;
mod lru;
mod random;
mod s3_fifo;
mod sieve;
#[cfg(test)]
mod testing;
mod tiny_lfu;

pub use self::{
    any::{AnyPolicy, OwnPolicy},
    fifo::Fifo,
    kind::PolicyKind,
    lfu::Lfu,
    lru::Lru,
    random::Random,
    s3_fifo::S3Fifo,
    sieve::Sieve,
    tiny_lfu::TinyLfu,
};

/// Which entry of a shard: a dense id, given again after its entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

impl SlotId {
    /// Returns the id as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why an entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// The policy named it as the victim.
    Evicted,
    /// Its time was over.
    Expired,
    /// It was removed, invalidated, or went for another reason.
    Removed,
}

/// Decides which entry of one shard goes next.
///
/// Each shard of a store has a policy of its own. Hits are told under a lock that other readers share, everything else
/// under the shard's exclusive lock: be short, never block. A policy sees no keys, no values and no deadlines, only slots,
/// hashes and weights (in bytes). The store guarantees that a slot is told to [`record_insert`](Self::record_insert)
/// before anything else, and to [`record_remove`](Self::record_remove) exactly once before it is given again.
///
/// ```
/// use std::collections::VecDeque;
/// use memstache_core::{EvictionPolicy, MemoryStore, RemovalCause, SlotId};
///
/// /// First in, first out.
/// #[derive(Debug, Default)]
/// struct Queue(VecDeque<SlotId>);
///
/// impl EvictionPolicy for Queue {
///     fn record_insert(&mut self, slot: SlotId, _hash: u64, _weight: usize) {
///         self.0.push_back(slot);
///     }
///     fn record_access(&self, _slot: SlotId, _hash: u64) {}
///     fn record_remove(&mut self, slot: SlotId, _: u64, _cause: RemovalCause) {
///         self.0.retain(|held| *held != slot);
///     }
///     fn select_victim(&mut self) -> Option<SlotId> {
///         self.0.front().copied()
///     }
/// }
///
/// let store: MemoryStore<Queue> = MemoryStore::builder().policy(|_share| Queue::default()).build()?;
/// # Ok::<(), memstache_core::Error>(())
/// ```
pub trait EvictionPolicy: Send + Sync + 'static {
    /// Takes note of a new entry, for which room was made.
    fn record_insert(&mut self, slot: SlotId, hash: u64, weight: usize);

    /// Takes note that an entry was read.
    ///
    /// Called by many readers at a time: use atomics, or pass over what would have to wait for another reader.
    fn record_access(&self, slot: SlotId, hash: u64);

    /// Takes note that an entry's value was replaced by one of another weight. Default: it counts as a read, as does
    /// another value of the same weight.
    fn record_update(&mut self, slot: SlotId, hash: u64, _weight: usize) {
        self.record_access(slot, hash);
    }

    /// Takes note that an entry went; `hash` is the one under which it came.
    fn record_remove(&mut self, slot: SlotId, hash: u64, cause: RemovalCause);

    /// Returns which entry should go next; `None` only when there are none.
    ///
    /// The store then asks [`admit`](Self::admit) and removes the entry, or leaves it.
    fn select_victim(&mut self) -> Option<SlotId>;

    /// Returns what an entry is worth among others, higher if it was used more.
    ///
    /// Asked, a few entries at a time, where an [`Accountant`](crate::Accountant) says of which tenant one must go: the
    /// least worth goes, of several the one that was written first. Default: the same for all.
    fn worth(&mut self, _slot: SlotId) -> u32 {
        0
    }

    /// Returns whether a new entry is worth more than the victim; if not, the new one goes at once. Default: yes.
    fn admit(&mut self, _hash: u64, _weight: usize, _victim: SlotId) -> bool {
        true
    }
}
