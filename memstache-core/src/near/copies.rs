//! The copies themselves: found by borrowed parts, bounded, dropped when the original changes.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use super::{
    NearConfig, NearStats, OnDegraded,
    shard::{Shard, Taken},
    tickets::{Ticket, Tickets},
};
use crate::{
    address::Address,
    clock::{Clock, Tick},
    entry::{Entry, Meta},
    expiry::{self, Freshness},
    memory::{AnyPolicy, Draft, Extra, Hashed, Held, Key, Packed, RemovalCause, Sequences, SlotId},
    request::{Consistency, LeaseId, Scope},
    striped::Striped,
};

/// Shards at most, and bytes for each of them at least.
const SHARDS: usize = 8;
const PER_SHARD: usize = 256 * 1024;
/// The part of all bytes that one copy may take.
const LARGEST_SHARE: usize = 64;
/// Invalidated tags, spaces and tenants that are remembered.
pub(super) const MAX_RECORDS: usize = 65_536;
/// Sliding reads that wait to be told below.
const TOUCHES: usize = 1024;
/// In the place of the number of the last invalidation: the copy was never the store's.
const UNVERIFIED: u64 = u64::MAX;
/// Dead copies that one insertion clears away.
const STEPS: usize = 8;
/// Leases that are remembered because their answers were lost.
const MAX_LOST: usize = 1024;

pub(super) type Copy<'a> = Held<'a, Beside>;

/// What is kept beside a copy.
#[derive(Default)]
pub(crate) struct Beside {
    /// Up to which invalidation it is known that none hides the copy.
    pub(super) checked: AtomicU64,
    /// When the authority last said that it is right.
    confirmed_at: Tick,
    /// What is charged for what was decoded from it; zero if nothing is kept.
    pub(super) decoded: usize,
}

/// The copies of a near cache; shared by its clones, its follower and the handle.
pub(crate) struct Copies {
    pub(super) shards: Box<[RwLock<Shard>]>,
    pub(super) shard_bytes: usize,
    pub(super) policy: Arc<dyn Fn(usize) -> AnyPolicy + Send + Sync>,
    pub(super) largest: usize,
    pub(super) hasher: RandomState,
    pub(super) tickets: Tickets,
    pub(super) sequences: RwLock<Sequences>,
    /// How many invalidations were noted: a copy that was looked at since the last one needs no look.
    ///
    /// Not the highest sequence: each space has a line of its own, and one says nothing about another.
    pub(super) noted: AtomicU64,
    /// Addresses by stored key, where that does not say the parts.
    pub(super) blind: DashMap<Arc<[u8]>, Address, RandomState>,
    pub(super) unverified: AtomicBool,
    pub(super) on_degraded: OnDegraded,
    /// Since which tick, in milliseconds.
    pub(super) unverified_since: AtomicU64,
    pub(super) clock: Arc<dyn Clock>,
    touches: mpsc::Sender<Address>,
    /// Leases that may have been granted by an answer in whose place a copy was served.
    lost: Mutex<VecDeque<LeaseId>>,
    pub(super) counters: Counters,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) hits: Striped,
    misses: AtomicU64,
    pub(super) invalidated: AtomicU64,
    overtaken: AtomicU64,
    pub(super) kept_unverified: AtomicU64,
    pub(super) flushes: AtomicU64,
}

impl Copies {
    /// Creates the cache, and the queue of sliding reads that must be told below.
    pub(crate) fn new(config: NearConfig) -> (Arc<Self>, mpsc::Receiver<Address>) {
        let (touches, queue) = mpsc::channel(TOUCHES);
        let shards = 1 << (config.max_bytes / PER_SHARD).clamp(1, SHARDS).ilog2();
        let (share, policy) = (config.max_bytes / shards, config.policy);
        let shard = || Shard::new(policy(share), share);
        let copies = Self {
            shards: (0..shards).map(|_| RwLock::new(shard())).collect(),
            shard_bytes: share,
            policy: Arc::clone(&policy),
            largest: config.max_bytes / LARGEST_SHARE,
            hasher: RandomState::default(),
            tickets: Tickets::new(),
            sequences: RwLock::new(Sequences::new(MAX_RECORDS)),
            noted: AtomicU64::new(0),
            blind: DashMap::default(),
            unverified: AtomicBool::new(false),
            on_degraded: config.on_degraded,
            unverified_since: AtomicU64::new(0),
            clock: config.clock,
            touches,
            lost: Mutex::default(),
            counters: Counters::default(),
        };
        (Arc::new(copies), queue)
    }

    /// Takes note of a lease that may have been granted although nothing says so.
    pub(super) fn note_lost(&self, lease: LeaseId) {
        let mut lost = self.lost.lock();
        if lost.len() == MAX_LOST {
            lost.pop_front();
        }
        lost.push_back(lease);
    }

    /// Returns whether a lease may have been granted although nothing says so; the one who asks is to release it.
    pub(super) fn take_lost(&self, lease: LeaseId) -> bool {
        let mut lost = self.lost.lock();
        let at = lost.iter().position(|other| *other == lease);
        at.is_some_and(|at| lost.remove(at).is_some())
    }

    #[inline]
    pub(super) fn shard(&self, hash: Hashed) -> &RwLock<Shard> {
        &self.shards[hash.shard(self.shards.len())]
    }

    /// Takes a ticket before asking below.
    pub(super) fn ticket(&self, address: &Address) -> Ticket {
        self.tickets.take(address.stored())
    }

    /// Returns the copy that answers a read: fresh and verified; a negative record too.
    pub(super) fn find(&self, key: &impl Key, scope: &Scope, now: Tick) -> Option<Entry> {
        let entry =
            if self.is_verified() { self.fresh(key, scope, now, |_, copy| Some(copy.entry_held())) } else { None };
        match entry {
            Some(_) => self.counters.hits.bump(),
            None => {
                self.counters.misses.fetch_add(1, Relaxed);
            }
        }
        entry
    }

    /// Returns the copy that is served when what is below fails: in its grace, or fresh and unverified.
    pub(super) fn find_stale(&self, key: &impl Key, scope: &Scope, now: Tick) -> Option<Entry> {
        self.look(key, scope, |_, slot| {
            (now < slot.dead_at() && !slot.is_too_old(scope, now)).then(|| slot.entry_held())
        })
    }

    /// Returns what `take` makes of a fresh copy, which it extends if it slides.
    pub(super) fn fresh<T>(
        &self,
        key: &impl Key,
        scope: &Scope,
        now: Tick,
        take: impl FnOnce(&Shard, Copy<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut slides = false;
        let found = self.look(key, scope, |shard, slot| {
            slides = slot.extended(now).is_some();
            if now < slot.fresh_until() && !slot.is_too_old(scope, now) { take(shard, slot) } else { None }
        });
        if slides && found.is_some() {
            // To the tick: a window that began at an upper bound would end late.
            self.slide(key, self.clock.now());
        }
        found
    }

    /// Returns what `take` makes of a copy that nothing hides; what is hidden goes.
    fn look<T>(&self, key: &impl Key, scope: &Scope, take: impl FnOnce(&Shard, Copy<'_>) -> Option<T>) -> Option<T> {
        if scope.consistency == Consistency::Authority {
            return None;
        }
        let hash = Hashed::new(&self.hasher, key);
        {
            let table = self.shard(hash).read();
            let (id, slot) = table.find_held(hash, key)?;
            if !self.is_hidden(slot) {
                let taken = take(&table, slot)?;
                table.record_access(id, hash);
                return Some(taken);
            }
        }
        self.drop_hidden(hash, key);
        None
    }

    /// Extends a sliding copy that was read, if what is below can be told.
    fn slide(&self, key: &impl Key, now: Tick) {
        let hash = Hashed::new(&self.hasher, key);
        let mut table = self.shard(hash).write();
        let Some(id) = table.find(hash, key) else { return };
        let until = table.get(id).and_then(|slot| Some((slot.extended(now)?, slot.address())));
        if let Some((until, _)) = until.filter(|(_, address)| self.touches.try_send(address.clone()).is_ok()) {
            table.extend(id, until);
        }
    }

    /// Keeps a copy, unless the original changed since the ticket was taken. Returns whether it is kept.
    pub(super) fn insert(&self, address: &Address, entry: Entry, ticket: &Ticket) -> bool {
        let now = self.clock.now();
        if expiry::freshness(&entry.meta, now, None) == Freshness::Expired {
            return false;
        }
        let beside = Beside { confirmed_at: entry.meta.confirmed_at, ..Beside::default() };
        self.put(address, entry, beside, ticket, now)
    }

    /// Returns whether the copy of an entry was never the store's.
    pub(super) fn is_unverified(&self, address: &Address) -> bool {
        self.is_held(address, |copy| copy.extra().is_unverified())
    }

    /// Returns whether there is a copy of the store's entry that serves as long.
    ///
    /// The bytes themselves, not only their version: those begin anew in a store that was emptied.
    pub(super) fn has(&self, address: &Address, entry: &Entry) -> bool {
        self.is_held(address, |copy| {
            let is_same = copy.version() == entry.meta.version && copy.value() == entry.value;
            is_same && copy.dead_at() >= expiry::dead_at(&entry.meta) && !copy.extra().is_unverified()
        })
    }

    fn is_held(&self, address: &Address, is: impl FnOnce(Copy<'_>) -> bool) -> bool {
        let hash = Hashed::new(&self.hasher, address);
        let table = self.shard(hash).read();
        table.find(hash, address).and_then(|id| table.get(id)).is_some_and(is)
    }

    /// Puts a copy in, unless the original changed since the ticket was taken; returns whether it is in.
    pub(super) fn put(&self, address: &Address, entry: Entry, beside: Beside, ticket: &Ticket, now: Tick) -> bool {
        let packed = Packed::new(address.name(), entry.value, &entry.meta.content);
        let mut draft = Draft::new::<Beside>(address, Hashed::new(&self.hasher, address), packed, entry.meta);
        if draft.bytes > self.largest {
            return false;
        }
        let mut dropped = Vec::new();
        let mut table = self.shard(draft.hash).write();
        if !self.tickets.stands(ticket) {
            self.counters.overtaken.fetch_add(1, Relaxed);
            return false;
        }
        let mut steps = STEPS;
        while let Some(dead) = table.pop_dead(now, &mut steps) {
            self.forget_blind(&dead);
            dropped.push(dead);
        }
        let mut old = table.find(draft.hash, address);
        self.make_room(&mut table, &mut old, |table, old| table.growth(&draft, old), &mut dropped);
        // After all that went: one of them may have been an earlier copy of this very entry.
        if address.is_blind() {
            self.blind.insert(Arc::clone(address.stored()), address.clone());
            // Once more: who changed it before the line above did not find the copy by its stored key.
            if !self.tickets.stands(ticket) {
                self.counters.overtaken.fetch_add(1, Relaxed);
                if old.is_none() {
                    self.blind.remove(address.stored());
                }
                return false;
            }
        }
        let replaced = table.insert(&mut draft, beside, old);
        drop(table);
        drop(replaced);
        true
    }

    /// Lets copies go until there is room for what `growth` says.
    pub(super) fn make_room(
        &self,
        table: &mut Shard,
        old: &mut Option<SlotId>,
        growth: impl Fn(&mut Shard, Option<SlotId>) -> usize,
        dropped: &mut Vec<Taken>,
    ) {
        while table.bytes() + growth(table, *old) > self.shard_bytes {
            let Some(victim) = table.victim() else { break };
            if Some(victim) == *old {
                *old = None;
            }
            dropped.extend(self.take_out(table, victim, RemovalCause::Evicted));
        }
    }

    /// Takes a copy out, to be dropped once the lock is free.
    pub(super) fn take_out(&self, table: &mut Shard, id: SlotId, cause: RemovalCause) -> Option<Taken> {
        let slot = table.remove(id, cause)?;
        self.forget_blind(&slot);
        Some(slot)
    }

    pub(super) fn forget_blind(&self, copy: &Taken) {
        if let Some(stored) = copy.copy.slot.blind() {
            self.blind.remove(stored);
        }
    }

    #[inline]
    pub(super) fn is_verified(&self) -> bool {
        !self.unverified.load(SeqCst)
    }

    pub(super) fn stats(&self) -> NearStats {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        NearStats {
            entries: self.shards.iter().map(|shard| shard.read().len()).sum(),
            bytes: self.shards.iter().map(|shard| shard.read().bytes()).sum(),
            hits: self.counters.hits.sum(),
            misses: count(&self.counters.misses),
            invalidated: count(&self.counters.invalidated),
            overtaken: count(&self.counters.overtaken),
            kept_unverified: count(&self.counters.kept_unverified),
            flushes: count(&self.counters.flushes),
            unverified: !self.is_verified(),
        }
    }
}

impl Beside {
    /// Of a copy that was never the store's.
    pub(super) fn unverified(now: Tick) -> Self {
        Self { checked: AtomicU64::new(UNVERIFIED), confirmed_at: now, decoded: 0 }
    }

    /// Returns whether the copy was never the store's.
    pub(super) fn is_unverified(&self) -> bool {
        self.checked.load(Relaxed) == UNVERIFIED
    }
}

impl Copy<'_> {
    fn is_too_old(self, scope: &Scope, now: Tick) -> bool {
        scope.max_staleness.is_some_and(|age| now.since(self.extra().confirmed_at) > age)
    }

    /// Returns whether an entry that was answered is this very copy.
    ///
    /// The bytes themselves, not only their version: those begin anew in a store that was emptied.
    pub(super) fn is_of(self, entry: &Entry) -> bool {
        let (value, meta) = (self.value(), &entry.meta);
        value.as_ptr() == entry.value.as_ptr() && self.version() == meta.version && self.content() == meta.content
    }

    pub(super) fn entry_held(self) -> Entry {
        self.entry(self.extra().confirmed_at)
    }

    pub(super) fn meta_held(self) -> Meta {
        Meta { confirmed_at: self.extra().confirmed_at, ..self.meta() }
    }
}

impl Extra for Beside {
    fn bytes(&self) -> usize {
        self.decoded
    }
}
