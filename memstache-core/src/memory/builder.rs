//! The settings of a memory store.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    MemoryStore,
    policy::{AnyPolicy, EvictionPolicy, PolicyKind, TinyLfu},
    shared::Config,
};
use crate::{
    accountant::Accountant,
    clock::{Clock, Ticker},
    error::{Error, ErrorKind, Result},
    lifetime::MAX_TTL,
};

/// Least bytes for each shard: a chunk of slots and some entries.
const LEAST_PER_SHARD: usize = 64 * 1024;
const MOST_SHARDS: usize = 1024;
/// Shards by default, at most; and bytes for each of them, at least.
const DEFAULT_SHARDS: usize = 64;
const DEFAULT_PER_SHARD: usize = 1024 * 1024;

/// Builds a [`MemoryStore`]; see [`MemoryStore::builder`].
#[must_use = "a builder does nothing until it is built"]
#[derive(Clone)]
pub struct MemoryBuilder<P = TinyLfu> {
    max_bytes: usize,
    shards: Option<usize>,
    lease_ttl: Duration,
    max_leases: usize,
    max_tag_records: usize,
    event_capacity: usize,
    clock: Ticker,
    accountant: Option<Arc<dyn Accountant>>,
    policy: Arc<dyn Fn(usize) -> P + Send + Sync>,
}

impl MemoryBuilder {
    pub(super) fn new() -> Self {
        Self {
            max_bytes: 64 * 1024 * 1024,
            shards: None,
            lease_ttl: Duration::from_secs(4),
            max_leases: 65_536,
            max_tag_records: 65_536,
            event_capacity: 1024,
            clock: Ticker::default(),
            accountant: None,
            policy: Arc::new(|share| TinyLfu::new(share, fastrand::u64(..))),
        }
    }
}

impl<P: EvictionPolicy> MemoryBuilder<P> {
    /// Bounds the bytes of all entries together: keys, values, tags and overhead. Default: 64 MiB.
    ///
    /// At least 64 KiB for each shard. One entry may take an eighth of it.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the number of shards, a power of two. Default: four times the processors, at most 64 and at most one for
    /// each MiB.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Sets how long a lease lives unless it is renewed: two heartbeats. Default: 4 s.
    ///
    /// That is also how long the next load of a key waits at most for one that was lost: its process died, or what it had to
    /// say to the store did not get through.
    pub fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.lease_ttl = ttl;
        self
    }

    /// Bounds the keys that are loaded at a time; beyond it asking for a lease is
    /// [`Overloaded`](ErrorKind::Overloaded). Default: 65,536.
    pub fn max_leases(mut self, leases: usize) -> Self {
        self.max_leases = leases;
        self
    }

    /// Bounds the invalidations of tags, spaces and tenants that are remembered one by one. Default: 65,536.
    ///
    /// Beyond it the oldest are forgotten, and what they could have hidden is hidden: misses, never outdated answers.
    pub fn max_tag_records(mut self, records: usize) -> Self {
        self.max_tag_records = records;
        self
    }

    /// Sets how many changes a coherence subscriber may fall behind before it gets a gap. Default: 1,024.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events;
        self
    }

    /// Sets where time comes from; all parts of a stack must share it. Default: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Ticker::new(clock);
        self
    }

    /// Sets who watches and limits what each tenant holds. Default: nobody.
    pub fn accountant(mut self, accountant: impl Accountant) -> Self {
        self.accountant = Some(Arc::new(accountant));
        self
    }

    /// Sets the eviction policy: makes one for each shard, given the shard's share of the bytes. Default:
    /// [`TinyLfu`].
    pub fn policy<Q: EvictionPolicy>(self, make: impl Fn(usize) -> Q + Send + Sync + 'static) -> MemoryBuilder<Q> {
        MemoryBuilder {
            max_bytes: self.max_bytes,
            shards: self.shards,
            lease_ttl: self.lease_ttl,
            max_leases: self.max_leases,
            max_tag_records: self.max_tag_records,
            event_capacity: self.event_capacity,
            clock: self.clock,
            accountant: self.accountant,
            policy: Arc::new(make),
        }
    }

    /// Sets the eviction policy by its kind, as configuration names it.
    ///
    /// ```
    /// use memstache_core::{MemoryStore, PolicyKind};
    ///
    /// let kind: PolicyKind = "s3-fifo".parse()?;
    /// let store = MemoryStore::builder().policy_kind(kind).build()?;
    /// # let _ = store;
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn policy_kind(self, kind: PolicyKind) -> MemoryBuilder<AnyPolicy> {
        self.policy(move |share| kind.policy(share, fastrand::u64(..)))
    }

    /// Builds the store.
    ///
    /// Settings out of their limits are one [`Invalid`](ErrorKind::Invalid) error that names them all.
    pub fn build(self) -> Result<MemoryStore<P>> {
        let shards = self.shards.unwrap_or_else(|| default_shards(self.max_bytes));
        self.check(shards)?;
        Ok(MemoryStore::from_config(Config {
            policies: (0..shards).map(|_| (self.policy)(self.max_bytes / shards)).collect(),
            max_bytes: self.max_bytes,
            lease_ttl: self.lease_ttl,
            max_leases: self.max_leases,
            max_tag_records: self.max_tag_records,
            event_capacity: self.event_capacity,
            clock: self.clock,
            accountant: self.accountant,
        }))
    }

    fn check(&self, shards: usize) -> Result<()> {
        let least = LEAST_PER_SHARD.saturating_mul(shards.clamp(1, MOST_SHARDS));
        let ttl = self.lease_ttl;
        let fields = [
            number("shards", shards, 1, MOST_SHARDS).or_else(|| {
                let limit = "a power of two";
                (!shards.is_power_of_two()).then(|| Error::invalid("shards", limit, shards))
            }),
            number("max_bytes", self.max_bytes, least, isize::MAX as usize),
            (ttl < Duration::from_millis(1) || ttl > MAX_TTL).then(|| {
                let limit = format_args!("1 ms to {} days", MAX_TTL.as_secs() / 86_400);
                Error::invalid("lease_ttl", limit, format_args!("{ttl:?}"))
            }),
            number("max_leases", self.max_leases, 1, u32::MAX as usize),
            number("max_tag_records", self.max_tag_records, 1, u32::MAX as usize),
            number("event_capacity", self.event_capacity, 1, 1 << 20),
        ];
        let wrong: Vec<String> = fields.into_iter().flatten().map(|error| error.to_string()).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Error::new(ErrorKind::Invalid, wrong.join("; "))) }
    }
}

fn number(field: &str, given: usize, least: usize, most: usize) -> Option<Error> {
    (!(least..=most).contains(&given)).then(|| Error::invalid(field, format_args!("{least} to {most}"), given))
}

fn default_shards(max_bytes: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    let most = (max_bytes / DEFAULT_PER_SHARD).clamp(1, DEFAULT_SHARDS);
    // The largest power of two that is not above `most`.
    (processors * 4).next_power_of_two().min(1 << most.ilog2())
}

impl<P> fmt::Debug for MemoryBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBuilder")
            .field("max_bytes", &self.max_bytes)
            .field("shards", &self.shards)
            .field("lease_ttl", &self.lease_ttl)
            .field("max_leases", &self.max_leases)
            .field("max_tag_records", &self.max_tag_records)
            .field("event_capacity", &self.event_capacity)
            .finish_non_exhaustive()
    }
}
