//! Keeps entries in this process, bounded in bytes.
//!
//! # Guarantees
//! - The bytes of all entries never pass `max_bytes`, however many threads write: room is taken before anything is put
//!   in, and a full store evicts, first from the shard that is written to, then from the others in turn. An entry over
//!   an eighth of the bound is refused without evicting anything; any other one fits.
//! - Nothing is answered that is expired, removed, overwritten or invalidated. Dead entries leave by a timing wheel:
//!   a few with every write, the rest by one task that runs about once a second while there is something to wait for.
//! - Leases, sequences and conditions are those of [`Store`](crate::Store). A write that fails because of what it
//!   carries (too large, over quota, not sealed) still takes the old value out, unless it was a fill under a lease.
//! - A hit takes one hash and a short lock that other hits share, and allocates nothing (the first hit of an entry makes
//!   its value shared: one small allocation). Whatever must change something else, a sliding deadline, a lease, something
//!   dead, takes the shard for itself.
//!
//! # Layout
//! A store is a power of two of shards, each behind a lock of its own: a hash table of `u32` slot numbers, a slab of
//! slots in chunks of 64 (growing copies nothing, an empty chunk is given back), the policy's and the wheel's columns,
//! and the shard's leases. A slot is the one cache line that a hit needs and 16 bytes that it does not. Name and value
//! stand in one allocation, if the value is at most 4 KiB. What an entry shares with thousands of others (its space, its
//! format, its schema) is kept once; what most entries do not have (tags, a sliding window, a blind key, a lifetime of
//! more than 49 days) is kept apart, for about 250 bytes more.
//!
//! An entry is charged its key, its value, its tags, and 164 bytes, of which about 110 are really taken where there are
//! many entries: 80 of slot, 8 of wheel, 12 of policy, 5 to 11 of hash table. The others stand for what an allocator
//! rounds up, and for slots that are kept free.
//!
//! # Fair between tenants
//! Without an [`Accountant`](crate::Accountant) the policy alone decides who goes, whoever's it is. With one that knows
//! [loads](crate::Accountant::load), such as [`FairShare`], a full store holds to this:
//! - **Nobody loses an entry to a tenant that holds more for its weight.** A flood takes what is free, then what others
//!   hold above it, then its own entries. Whoever is below its share is let in without a contest of popularity. One
//!   exception keeps every lawful entry storable: one so large that it alone makes its tenant the most loaded.
//! - **The policy decides where it may:** if it names an entry of a tenant above its share that is loaded at least as much
//!   as the writer, that one goes. Otherwise an entry of the most loaded tenant in the shard goes, the writer among them:
//!   of its eight oldest the one [worth](EvictionPolicy::worth) least, and those worth more get another turn. Of up to 16
//!   tenants in a shard the most loaded is found at once; of more, 16 are asked at a time, in turns, beside the writer and
//!   the one found last. Only if nobody here may go, other shards are asked.
//! - **Unused shares are lent,** and given back as they are asked for, entry by entry.
//!
//! A tenant over a limit of its own loses its oldest entries, if the accountant [says so](crate::Accountant::evicts_own):
//! first those of the shard that is written to, chosen as above, then those of other shards in turn, so that over many
//! shards the order is by shard and by age within it. The charge is asked for again after each one and is never passed,
//! not by concurrent writes either; other tenants lose nothing by it.
//!
//! An accountant costs 12 bytes an entry, about 50 for each tenant and shard where it holds something, nothing on hits,
//! and on writes the way without short cuts and two or three questions to the accountant. Without one a write has one
//! branch more for a new entry, and one for each that is taken out.
//!
//! # What it remembers of what went
//! [`Cache::explain`](crate::Cache::explain) is told why a key is not here: evicted, expired, removed, hidden by a tag or a
//! clear. The last departures of each shard are kept as fingerprints in four bytes each, one for each 512 bytes of the
//! shard's share and between 128 and 4,096, beside `max_bytes`. A key whose place was taken by another is
//! [`NotHeld`](crate::Reason::NotHeld): nobody knows whether it ever was stored. An invalidation that was itself forgotten
//! (see [`MemoryBuilder::max_tag_records`]) is told as one of a tag, or as a clear.
//!
//! # Limits
//! - A value over 4 KiB that is a slice of a larger buffer keeps the whole buffer alive, but is charged for its own
//!   length: copy slices of large buffers before they are stored.
//! - What a load cost is kept to a part in two thousand.
//! - One policy a store. For a policy of its own, give a keyspace a store of its own.
//! - Sequences are the store's own and begin anew with it; nothing outlives the process.
//! - Without a tokio runtime nothing leaves between writes, unless [`MemoryStore::maintain`] is called.

mod budget;
mod builder;
mod charge;
mod class;
mod departures;
mod draft;
mod events;
mod explain;
mod fair;
mod key;
mod leases;
mod lines;
mod plain;
mod policy;
mod read;
mod retain;
mod room;
mod sequences;
mod service;
mod shared;
mod slab;
mod slot;
mod stats;
mod sweeper;
mod table;
mod touch;
mod wait;
mod wheel;
mod write;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use self::shared::{Config, Shared};
pub use self::{
    builder::MemoryBuilder,
    fair::{Allowance, FairShare, WhenOver},
    policy::{
        AnyPolicy, EvictionPolicy, Fifo, Lfu, Lru, OwnPolicy, PolicyKind, Random, RemovalCause, S3Fifo, Sieve, SlotId,
        TinyLfu,
    },
    service::MemoryFuture,
    stats::MemoryStats,
};
#[cfg(feature = "near")]
pub(crate) use self::{
    class::Class,
    departures::{Departure, Past},
    draft::Draft,
    key::{Hashed, Key, wide},
    sequences::Sequences,
    slot::{Extra, Held, Packed, Replaced, Whole, is_named},
    table::Table,
};
use crate::{
    address::Parts,
    entry::NewEntry,
    error::Result,
    request::{When, Written},
    version::Version,
};

/// From this ttl on, a write without a future is dated by the clock's lower bound.
const COARSE: Duration = Duration::from_secs(10);

/// Keeps entries in this process, bounded in bytes.
///
/// Cheap to clone; clones are the same store. It is a [`Store`](crate::Store), a tower service that is always ready and
/// answers at once, and tells what changes ([`Coherence`](crate::Coherence)). Which entry goes when it is full is the
/// decision of its [`EvictionPolicy`].
///
/// A read with [`OnMiss::Wait`](crate::OnMiss::Wait) waits for busy keys, all of a batch at once, and holds no lease
/// meanwhile: it may be dropped at any time. A key that is asked for twice in one batch is leased once, and busy the
/// second time.
///
/// Errors of items: [`TooLarge`](crate::ErrorKind::TooLarge) for an entry over an eighth of the bound,
/// [`Unsupported`](crate::ErrorKind::Unsupported) for one that must be sealed and is not,
/// [`Overloaded`](crate::ErrorKind::Overloaded) when there are as many leases as allowed,
/// [`Timeout`](crate::ErrorKind::Timeout) when the deadline passed while a key was busy, and whatever the accountant
/// refuses a write with.
pub struct MemoryStore<P = TinyLfu> {
    shared: Arc<Shared<P>>,
}

impl MemoryStore {
    /// Builds a store.
    ///
    /// ```
    /// use std::time::Duration;
    /// use memstache_core::{
    ///     Address, Get, KeyspaceName, Lifetime, Lookup, MemoryStore, NewEntry, Set, Space, Store,
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
    /// let store = MemoryStore::builder().max_bytes(16 * 1024 * 1024).build()?;
    /// let space = Space::new(None, &KeyspaceName::new("products")?);
    /// let address = Address::plain(&space, "7")?;
    ///
    /// let entry = NewEntry::new("a lamp", Lifetime::new(Duration::from_secs(60))?);
    /// store.set(Set::one(address.clone(), entry)).await?;
    /// let found = store.get(Get::one(address)).await?.into_one();
    /// assert!(matches!(found, Some(Ok(Lookup::Hit(entry))) if entry.value == "a lamp"));
    /// assert!(store.stats().bytes < 16 * 1024 * 1024);
    /// # Ok(()) }
    /// ```
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder::new()
    }
}

impl<P: EvictionPolicy> MemoryStore<P> {
    fn from_config(config: Config<P>) -> Self {
        Self { shared: Arc::new(Shared::new(config)) }
    }

    /// Returns what the store holds and has done.
    pub fn stats(&self) -> MemoryStats {
        self.shared.stats()
    }

    /// Returns the fresh value of a key, without a future.
    ///
    /// The way to use a store as an in-process cache of bytes, without tasks or a runtime: a hit takes one hash and a lock
    /// that readers share, and allocates nothing. It counts as a read.
    ///
    /// ```
    /// use std::time::Duration;
    /// use memstache_core::{KeyspaceName, Lifetime, MemoryStore, NewEntry, Parts, Space};
    ///
    /// let store = MemoryStore::builder().max_bytes(16 << 20).build()?;
    /// let space = Space::new(None, &KeyspaceName::new("products")?);
    /// let key = Parts::new(&space, b"7")?;
    ///
    /// store.set_now(&key, NewEntry::new("a lamp", Lifetime::new(Duration::from_secs(60))?))?;
    /// assert_eq!(store.get_now(&key).as_deref(), Some(&b"a lamp"[..]));
    /// assert!(store.remove_now(&key));
    /// assert_eq!(store.get_now(&key), None);
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn get_now(&self, key: &Parts<'_>) -> Option<Bytes> {
        self.shared.value(key)
    }

    /// Stores an entry, without a future; whatever was there goes, and leases on the key end.
    ///
    /// With a ttl of ten seconds or more the entry is dated by [`Clock::lower_bound`](crate::Clock::lower_bound): with the system's clock it may live
    /// up to 45 ms less.
    ///
    /// Errors as in the list above.
    pub fn set_now(&self, key: &Parts<'_>, mut entry: NewEntry) -> Result<Version> {
        let clock = &self.shared.clock;
        // The precise time costs a tenth of the write, and matters to short lives only.
        let coarse = entry.lifetime.ttl().is_none_or(|ttl| ttl >= COARSE) && entry.lifetime.sliding().is_none();
        let now = || if coarse { clock.lower_bound() } else { clock.now() };
        let stored = self.shared.set_one(*key, &mut entry, When::Always, now)?;
        self.shared.keep_swept();
        match stored {
            Written::Stored(version) => Ok(version),
            Written::Refused | Written::NearOnly => unreachable!("there is no condition to refuse by"),
        }
    }

    /// Removes an entry, without a future, and ends the lease on its key; returns whether it was live.
    pub fn remove_now(&self, key: &Parts<'_>) -> bool {
        self.shared.remove_one(key, self.shared.clock.now())
    }

    /// Lets everything leave whose time is over: dead entries, leases that have aged out, cleared spaces.
    ///
    /// A task does so about once a second where there is a tokio runtime, and every write does a part of it.
    pub fn maintain(&self) {
        self.shared.maintain(self.shared.clock.now());
    }
}

impl<P> Clone for MemoryStore<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<P: EvictionPolicy> fmt::Debug for MemoryStore<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = (self.shared.budget.used(), self.shared.budget.max());
        f.debug_struct("MemoryStore").field("bytes", &bytes.0).field("max_bytes", &bytes.1).finish_non_exhaustive()
    }
}
