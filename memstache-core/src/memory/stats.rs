//! What a memory store counts.

use crate::striped::Striped;

/// What a [`MemoryStore`](super::MemoryStore) holds and has done since it was built.
///
/// The shards are asked one after the other, so that under load the numbers need not agree with each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Entries held, expired and hidden ones that have not left yet included.
    pub entries: usize,
    /// Bytes held: keys, values, tags, overhead and slots kept free. Never above `max_bytes`.
    pub bytes: usize,
    /// The bound of `bytes`.
    pub max_bytes: usize,
    /// Reads answered with a fresh value.
    pub hits: u64,
    /// Reads answered with a value in its grace.
    pub stale: u64,
    /// Reads answered with a record that the source has no such key.
    pub negative: u64,
    /// Reads that found nothing, those that were leased or busy included.
    pub misses: u64,
    /// Entries stored.
    pub inserts: u64,
    /// Entries that went for want of room, also those that the policy did not admit.
    pub evictions: u64,
    /// Entries that went because their time was over.
    pub expirations: u64,
    /// Entries that went because a tag, space or tenant was invalidated.
    pub invalidated: u64,
    /// Entries removed by a [`Remove`](crate::Remove).
    pub removed: u64,
    /// Writes refused because the entry was too large.
    pub too_large: u64,
    /// Writes refused because a condition did not hold or a lease had ended.
    pub refused: u64,
    /// Leases granted.
    pub leases_granted: u64,
    /// Leases standing.
    pub leases_standing: usize,
    /// Leases that nobody filled, renewed or released in time.
    pub leases_aged_out: u64,
    /// Invalidations remembered.
    pub invalidation_records: usize,
}

/// The part of the numbers that is counted under a shard's lock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(super) inserts: u64,
    pub(super) evicted: u64,
    pub(super) expired: u64,
    pub(super) hidden: u64,
    pub(super) removed: u64,
    pub(super) too_large: u64,
    pub(super) refused: u64,
    pub(super) granted: u64,
    pub(super) aged_out: u64,
}

/// The part that readers count, who share the lock of a shard.
#[derive(Debug, Default)]
pub(crate) struct ReadCounters {
    pub(super) hits: Striped,
    pub(super) stale: Striped,
    pub(super) negative: Striped,
    pub(super) misses: Striped,
}

impl ReadCounters {
    /// Counts a fresh answer.
    pub(super) fn answered(&self, negative: bool) {
        if negative { self.negative.bump() } else { self.hits.bump() }
    }
}

impl MemoryStats {
    pub(super) fn add(&mut self, entries: usize, counters: &Counters) {
        self.entries += entries;
        self.inserts += counters.inserts;
        self.evictions += counters.evicted;
        self.expirations += counters.expired;
        self.invalidated += counters.hidden;
        self.removed += counters.removed;
        self.too_large += counters.too_large;
        self.refused += counters.refused;
        self.leases_granted += counters.granted;
        self.leases_aged_out += counters.aged_out;
    }
}
