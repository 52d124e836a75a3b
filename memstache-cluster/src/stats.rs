//! What a node counts of each keyspace.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What one node has counted of one keyspace since it was created here, and what it holds now.
///
/// Each key counts. The names are those of groupcache and DistCache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySpaceStats {
    /// Keys asked for, by callers of this node, by its peers, and to load them ahead.
    pub gets: u64,
    /// Keys that were answered from what this node held: fresh, stale, or known to be missing.
    pub cache_hits: u64,
    /// Keys that a peer answered.
    pub peer_loads: u64,
    /// Keys that a peer should have answered and did not.
    pub peer_errors: u64,
    /// Keys that this node did not hold and that were its to load.
    pub loads: u64,
    /// Of those, what was left after each key was loaded once for all who asked at the time.
    pub loads_deduped: u64,
    /// Keys of this node's own that the source answered here, those that it does not have included.
    pub local_loads: u64,
    /// Keys that the source answered here in the place of an owner that did not answer; what it answered was not kept.
    pub fallback_loads: u64,
    /// Keys that the source failed to answer here, in whoever's place.
    pub local_load_errs: u64,
    /// Keys that peers asked this node for.
    pub server_requests: u64,
    /// Calls that removed keys.
    pub remove_keys_requests: u64,
    /// Keys that were removed and were there.
    pub removed_keys: u64,
    /// Loads that the rate limiter refused.
    pub rate_limited: u64,
    /// Keys that a replica answered for an owner that did not, or not in time.
    pub replica_loads: u64,
    /// Keys that a replica was asked for because the owner was slow.
    pub hedged: u64,
    /// How often nodes were found to define one version of the keyspace with different settings.
    pub conflicts: u64,
    /// Bytes that this node holds as an owner.
    pub main_bytes: u64,
    /// Entries that this node holds as an owner.
    pub main_entries: u64,
    /// Bytes that this node keeps as a replica of other owners.
    pub replica_bytes: u64,
    /// Entries that this node keeps as a replica of other owners.
    pub replica_entries: u64,
    /// Bytes of copies of hot keys that others own.
    pub hot_bytes: u64,
    /// Copies of hot keys that others own.
    pub hot_entries: u64,
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// The live counts behind [`KeySpaceStats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            /// Takes a snapshot; what is held is the caller's to add.
            pub(crate) fn snapshot(&self) -> KeySpaceStats {
                KeySpaceStats { $($name: self.$name.load(Relaxed),)* ..KeySpaceStats::default() }
            }
        }
    };
}

counters!(
    gets,
    cache_hits,
    peer_loads,
    peer_errors,
    loads,
    loads_deduped,
    local_loads,
    fallback_loads,
    local_load_errs,
    server_requests,
    remove_keys_requests,
    removed_keys,
    rate_limited,
    replica_loads,
    hedged,
);

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, more: usize) {
    if more > 0 {
        counter.fetch_add(more as u64, Relaxed);
    }
}
