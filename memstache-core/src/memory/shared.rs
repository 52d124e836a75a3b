//! What all handles of a store share, and the steps that every operation is made of.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{
    budget::Budget,
    events::Events,
    key::{Hashed, Key},
    leases::{Leases, Standing},
    lines::Lines,
    policy::{EvictionPolicy, RemovalCause, SlotId},
    slot::{Replaced, Slot, Whole},
    stats::{Counters, MemoryStats, ReadCounters},
    sweeper::Sweeper,
    table::Table,
};
use crate::{
    accountant::Accountant,
    clock::{Tick, Ticker},
    request::LeaseId,
    version::Version,
};

/// Items that one write looks at in each wheel: more than one write can bring, so that the wheels keep up.
const STEPS_PER_WRITE: usize = 8;

/// Below which number a shard's versions begin: so far that no two begin near each other, and a quarter of what is kept of one.
const FIRST_VERSIONS: u64 = 1 << 46;

/// The store itself.
pub(crate) struct Shared<P> {
    pub(super) shards: Box<[RwLock<Shard<P>>]>,
    pub(super) hasher: RandomState,
    pub(super) budget: Budget,
    pub(super) lines: Lines,
    pub(super) nonces: AtomicU64,
    pub(super) standing: AtomicUsize,
    pub(super) max_leases: usize,
    pub(super) lease_ttl: Duration,
    pub(super) clock: Ticker,
    pub(super) accountant: Option<Arc<dyn Accountant>>,
    pub(super) events: Events,
    /// Told after every clear, which may supersede a lease that somebody waits for.
    pub(super) clears: watch::Sender<()>,
    /// Where a write that finds nothing to evict at home looks next.
    pub(super) next_victims: AtomicUsize,
    pub(super) sweeper: Sweeper,
    pub(super) reads: ReadCounters,
}

/// What a store is made of.
pub(super) struct Config<P> {
    /// One a shard; a power of two of them.
    pub(super) policies: Vec<P>,
    pub(super) max_bytes: usize,
    pub(super) lease_ttl: Duration,
    pub(super) max_leases: usize,
    pub(super) max_tag_records: usize,
    pub(super) event_capacity: usize,
    pub(super) clock: Ticker,
    pub(super) accountant: Option<Arc<dyn Accountant>>,
}

/// What one lock guards.
pub(crate) struct Shard<P> {
    pub(super) table: Table<P>,
    pub(super) leases: Leases,
    pub(super) counters: Counters,
    /// The clear up to which all entries were looked at.
    pub(super) swept: u64,
    /// The last version given: a key stays in its shard, and versions of different keys are never compared.
    pub(super) version: u64,
}

impl<P> Shard<P> {
    pub(super) fn next_version(&mut self) -> Version {
        self.version += 1;
        Version(self.version)
    }
}

/// What must outlive the shard's lock: dropping it wakes tasks or frees memory.
///
/// Declared before the guard, so that it is dropped after it.
#[derive(Default)]
pub(super) struct Afterwards {
    pub(super) lease: Option<Standing>,
    pub(super) aged: Option<Standing>,
    pub(super) replaced: Option<Replaced>,
    entry: Option<Whole>,
    entries: Vec<Whole>,
}

impl Afterwards {
    /// Keeps what was taken out; one costs no allocation.
    pub(super) fn keep(&mut self, entry: impl Into<Option<Whole>>) {
        let Some(entry) = entry.into() else { return };
        match &self.entry {
            None => self.entry = Some(entry),
            Some(_) => self.entries.push(entry),
        }
    }
}

impl<P: EvictionPolicy> Shared<P> {
    pub(super) fn new(config: Config<P>) -> Self {
        let share = config.max_bytes / config.policies.len().max(1);
        let shard = |policy| {
            let (mut table, leases) = (Table::new(policy, share), Leases::new());
            // A random start, as with leases: a version that another store gave, or an earlier process, is none of ours.
            let version = fastrand::u64(..FIRST_VERSIONS);
            if config.accountant.is_some() {
                table.keep_tenants();
            }
            RwLock::new(Shard { table, leases, counters: Counters::default(), swept: 0, version })
        };
        Self {
            shards: config.policies.into_iter().map(shard).collect(),
            hasher: RandomState::default(),
            budget: Budget::new(config.max_bytes),
            lines: Lines::new(config.max_tag_records),
            // A random start, so that a lease of another store or an earlier process is not taken for one of ours.
            nonces: AtomicU64::new(fastrand::u64(..)),
            standing: AtomicUsize::new(0),
            max_leases: config.max_leases,
            lease_ttl: config.lease_ttl,
            clock: config.clock,
            accountant: config.accountant,
            events: Events::new(config.event_capacity),
            clears: watch::Sender::new(()),
            next_victims: AtomicUsize::new(0),
            sweeper: Sweeper::default(),
            reads: ReadCounters::default(),
        }
    }

    pub(super) fn stats(&self) -> MemoryStats {
        let mut stats = MemoryStats {
            bytes: self.budget.used(),
            max_bytes: self.budget.max(),
            leases_standing: self.standing.load(Ordering::Relaxed),
            invalidation_records: self.lines.len(),
            hits: self.reads.hits.sum(),
            stale: self.reads.stale.sum(),
            negative: self.reads.negative.sum(),
            misses: self.reads.misses.sum(),
            ..MemoryStats::default()
        };
        for shard in &self.shards {
            let shard = shard.read();
            stats.add(shard.table.len(), &shard.counters);
        }
        stats
    }

    pub(super) fn hash(&self, key: &impl Hash) -> Hashed {
        Hashed::new(&self.hasher, key)
    }

    pub(super) fn shard(&self, hash: Hashed) -> &RwLock<Shard<P>> {
        &self.shards[hash.shard(self.shards.len())]
    }

    /// Finds the entry of a key, after it took out one that is hidden or dead.
    pub(super) fn settle(
        &self,
        shard: &mut Shard<P>,
        hash: Hashed,
        key: &impl Key,
        now: Tick,
        after: &mut Afterwards,
    ) -> Option<SlotId> {
        let id = shard.table.find(hash, key)?;
        let slot = shard.table.get(id)?;
        let hidden = self.is_hidden(&slot);
        if !hidden && now < slot.dead_at() {
            return Some(id);
        }
        self.retire(shard, id, hidden, after);
        None
    }

    #[cold]
    fn retire(&self, shard: &mut Shard<P>, id: SlotId, hidden: bool, after: &mut Afterwards) {
        let counter = if hidden { &mut shard.counters.hidden } else { &mut shard.counters.expired };
        *counter += 1;
        after.keep(if hidden { self.take_hidden(shard, id) } else { self.take_out(shard, id, RemovalCause::Expired) });
    }

    /// Takes out an entry that an invalidation hides, and remembers which kind did.
    pub(super) fn take_hidden(&self, shard: &mut Shard<P>, id: SlotId) -> Option<Whole> {
        let entry = self.take_out(shard, id, RemovalCause::Removed)?;
        let slot = &entry.slot;
        if let Some(why) = self.lines.hidden_by(slot.space_key(), slot.tags(), slot.sequence()) {
            shard.table.note(slot.hash, why);
        }
        Some(entry)
    }

    /// Returns whether an invalidation hides the entry; remembers that none did.
    #[inline]
    pub(super) fn is_hidden(&self, slot: &Slot) -> bool {
        // Read first: what comes during the check is not covered by it.
        let (current, sequence) = (self.lines.current(), slot.sequence());
        current > sequence && self.is_hidden_by(slot, current, sequence)
    }

    #[inline(never)]
    fn is_hidden_by(&self, slot: &Slot, current: u64, sequence: u64) -> bool {
        let hidden = self.lines.hides(slot.space_key(), slot.tags(), sequence);
        if !hidden {
            slot.raise(current);
        }
        hidden
    }

    /// Returns whether a settled entry counts as live: fresh, and a value if `value` is asked for.
    pub(super) fn is_live(shard: &Shard<P>, id: Option<SlotId>, now: Tick, value: bool) -> bool {
        let live = |slot: &Slot| now < slot.fresh_until() && !(value && slot.is_negative());
        id.and_then(|id| shard.table.slot(id)).is_some_and(live)
    }

    /// Takes an entry out and gives back what it took.
    pub(super) fn take_out(&self, shard: &mut Shard<P>, id: SlotId, cause: RemovalCause) -> Option<Whole> {
        let before = shard.table.bytes();
        let slot = shard.table.remove(id, cause)?;
        self.budget.give(before - shard.table.bytes());
        self.release(&slot);
        Some(slot)
    }

    /// Tells the accountant that an entry went.
    pub(super) fn release(&self, entry: &Whole) {
        if let Some(accountant) = &self.accountant {
            accountant.release(entry.slot.tenant(), entry.charge());
        }
    }

    /// Ends the lease on a key, if there is one.
    #[inline]
    pub(super) fn end_lease(&self, shard: &mut Shard<P>, hash: Hashed, key: &impl Key) -> Option<Standing> {
        if shard.leases.len() == 0 { None } else { self.end_held(shard, hash, key) }
    }

    #[inline(never)]
    fn end_held(&self, shard: &mut Shard<P>, hash: Hashed, key: &impl Key) -> Option<Standing> {
        let lease = shard.leases.end(hash, key)?;
        self.standing.fetch_sub(1, Ordering::Relaxed);
        Some(lease)
    }

    /// Returns the lease on a key if it stands under this id: neither aged out nor superseded.
    pub(super) fn standing(
        &self,
        shard: &Shard<P>,
        hash: Hashed,
        key: &impl Key,
        id: LeaseId,
        now: Tick,
    ) -> Option<u64> {
        let lease = shard.leases.get(hash, key).filter(|lease| lease.id == id && now < lease.until)?;
        (!self.lines.cleared_since(key.space_key(), lease.sequence)).then_some(lease.sequence)
    }

    /// Returns a lease id that was never given and is not zero.
    pub(super) fn nonce(&self) -> LeaseId {
        loop {
            let nonce = self.nonces.fetch_add(1, Ordering::Relaxed);
            if nonce != 0 {
                return LeaseId(nonce);
            }
        }
    }

    /// Lets some of what is due in a shard leave.
    #[inline]
    pub(super) fn turn(&self, shard: &mut Shard<P>, now: Tick, after: &mut Afterwards) {
        if !shard.table.is_idle(now) || !shard.leases.is_idle(now) {
            self.turn_now(shard, now, after);
        }
    }

    #[inline(never)]
    fn turn_now(&self, shard: &mut Shard<P>, now: Tick, after: &mut Afterwards) {
        let mut steps = STEPS_PER_WRITE;
        while let Some(dead) = self.expire_one(shard, now, &mut steps) {
            after.keep(dead);
        }
        steps = STEPS_PER_WRITE;
        after.aged = self.age_one(shard, now, &mut steps);
    }

    /// Takes out one lease that has aged out.
    pub(super) fn age_one(&self, shard: &mut Shard<P>, now: Tick, steps: &mut usize) -> Option<Standing> {
        let lease = shard.leases.pop_aged(now, steps)?;
        shard.counters.aged_out += 1;
        self.standing.fetch_sub(1, Ordering::Relaxed);
        Some(lease)
    }

    /// Takes out one dead entry; `None` when no more is due or the steps ran out.
    pub(super) fn expire_one(&self, shard: &mut Shard<P>, now: Tick, steps: &mut usize) -> Option<Whole> {
        let before = shard.table.bytes();
        let slot = shard.table.pop_dead(now, steps)?;
        self.budget.give(before - shard.table.bytes());
        self.release(&slot);
        shard.counters.expired += 1;
        Some(slot)
    }
}
