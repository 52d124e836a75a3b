//! The copies themselves: found by borrowed parts, bounded, dropped when the original changes.

use std::{
    hash::{BuildHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::mpsc;

use super::{
    NearConfig, NearStats, NearView,
    tickets::{Ticket, Tickets},
};
use crate::{
    address::{Address, Parts},
    clock::{Clock, Tick},
    coherence::Invalidation,
    entry::Entry,
    expiry::{self, Freshness},
    memory::{Key, Lru, Sequences, Slot, SlotId, Table, bytes_of},
    request::{Consistency, Scope, Target},
    service::TryHit,
};

const SHARDS: usize = 8;
/// The part of a shard that one copy may take.
const LARGEST_SHARE: usize = 8;
/// Invalidated tags, spaces and tenants that are remembered.
const MAX_RECORDS: usize = 65_536;
/// Sliding reads that wait to be told below.
const TOUCHES: usize = 1024;
/// Dead copies that one insertion clears away.
const STEPS: usize = 8;

/// The copies of a near cache; shared by its clones, its follower and the handle.
pub(crate) struct Copies {
    shards: Box<[Mutex<Table<Lru>>]>,
    shard_bytes: usize,
    hasher: RandomState,
    tickets: Tickets,
    sequences: RwLock<Sequences>,
    /// How many invalidations were noted: a copy that was looked at since the last one needs no look.
    ///
    /// Not the highest sequence: each space has a line of its own, and one says nothing about another.
    noted: AtomicU64,
    /// Addresses by stored key, where that does not say the parts.
    blind: DashMap<Arc<[u8]>, Address, RandomState>,
    unverified: AtomicBool,
    pub(super) clock: Arc<dyn Clock>,
    touches: mpsc::Sender<Address>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    invalidated: AtomicU64,
    overtaken: AtomicU64,
    flushes: AtomicU64,
}

impl Copies {
    /// Creates the cache, and the queue of sliding reads that must be told below.
    pub(crate) fn new(config: NearConfig) -> (Arc<Self>, mpsc::Receiver<Address>) {
        let (touches, queue) = mpsc::channel(TOUCHES);
        let copies = Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Table::new(Lru::default()))).collect(),
            shard_bytes: config.max_bytes / SHARDS,
            hasher: RandomState::default(),
            tickets: Tickets::new(),
            sequences: RwLock::new(Sequences::new(MAX_RECORDS)),
            noted: AtomicU64::new(0),
            blind: DashMap::default(),
            unverified: AtomicBool::new(false),
            clock: config.clock,
            touches,
            counters: Counters::default(),
        };
        (Arc::new(copies), queue)
    }

    fn shard(&self, hash: u64) -> &Mutex<Table<Lru>> {
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    /// Takes a ticket before asking below.
    pub(super) fn ticket(&self, address: &Address) -> Ticket {
        self.tickets.take(address.stored())
    }

    /// Returns the copy that answers a read: fresh and verified; a negative record too.
    pub(super) fn find(&self, key: &(impl Key + Hash), scope: &Scope, now: Tick) -> Option<Entry> {
        let entry = if self.is_verified() { self.look(key, scope, now, Freshness::Fresh) } else { None };
        let counter = if entry.is_some() { &self.counters.hits } else { &self.counters.misses };
        counter.fetch_add(1, Relaxed);
        entry
    }

    /// Returns the copy that is served when what is below fails: in its grace, or fresh and unverified.
    pub(super) fn find_stale(&self, address: &Address, scope: &Scope, now: Tick) -> Option<Entry> {
        self.look(address, scope, now, Freshness::Stale)
    }

    fn look(&self, key: &(impl Key + Hash), scope: &Scope, now: Tick, least: Freshness) -> Option<Entry> {
        if scope.consistency == Consistency::Authority {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        // Declared before the guard: dropping a value may be long, or somebody else's code.
        let mut dropped = Vec::new();
        let mut table = self.shard(hash).lock();
        let id = table.find(hash, key)?;
        let slot = table.get_mut(id)?;
        if self.is_hidden(slot) {
            self.counters.invalidated.fetch_add(1, Relaxed);
            dropped.extend(self.take_out(&mut table, id));
            return None;
        }
        let freshness = expiry::freshness(slot.meta(), now, scope.max_staleness);
        if freshness == Freshness::Expired || (freshness == Freshness::Stale && least == Freshness::Fresh) {
            return None;
        }
        let extended = expiry::extended(slot.meta(), now);
        if let Some(until) = extended.filter(|_| self.touches.try_send(slot.address.clone()).is_ok()) {
            slot.entry.meta.fresh_until = until;
        }
        let entry = slot.entry.clone();
        table.record_access(id);
        if extended.is_some() {
            table.reschedule(id);
        }
        Some(entry)
    }

    /// Keeps a copy, unless the original changed since the ticket was taken.
    pub(super) fn insert(&self, address: Address, entry: Entry, ticket: &Ticket) {
        let now = self.clock.now();
        let bytes = bytes_of(&address, entry.value.len(), &entry.meta.tags);
        if bytes > self.shard_bytes / LARGEST_SHARE || expiry::freshness(&entry.meta, now, None) != Freshness::Fresh {
            return;
        }
        let hash = self.hasher.hash_one(&address);
        let mut dropped = Vec::new();
        let mut table = self.shard(hash).lock();
        if !self.tickets.stands(ticket) {
            self.counters.overtaken.fetch_add(1, Relaxed);
            return;
        }
        let mut steps = STEPS;
        while let Some(dead) = table.pop_dead(now, &mut steps) {
            self.forget_blind(&dead);
            dropped.push(dead);
        }
        // After the dead: one of them may be an earlier copy of this very entry.
        if address.is_blind() {
            self.blind.insert(Arc::clone(address.stored()), address.clone());
        }
        let mut slot = Slot::new(hash, address, entry, None);
        slot.checked = 0;
        dropped.extend(table.insert(slot));
        while table.bytes() > self.shard_bytes {
            let Some(victim) = table.victim() else { break };
            dropped.extend(self.take_out(&mut table, victim));
        }
        drop(table);
    }

    /// Drops the copy of an entry, and every copy that is being fetched.
    pub(super) fn drop_copy(&self, address: &Address) {
        self.tickets.changed(address.stored());
        self.drop_held(address);
    }

    fn drop_held(&self, key: &(impl Key + Hash)) {
        let hash = self.hasher.hash_one(key);
        let mut dropped = Vec::new();
        let mut table = self.shard(hash).lock();
        if let Some(id) = table.find(hash, key) {
            self.counters.invalidated.fetch_add(1, Relaxed);
            dropped.extend(self.take_out(&mut table, id));
        }
    }

    fn drop_stored(&self, stored: &[u8]) {
        self.tickets.changed(stored);
        if let Some(key) = StoredKey::parse(stored) {
            self.drop_held(&key);
        }
        let blind = self.blind.get(stored).map(|address| address.clone());
        if let Some(address) = blind {
            self.drop_held(&address);
        }
    }

    /// Takes a copy out, to be dropped once the lock is free.
    fn take_out(&self, table: &mut Table<Lru>, id: SlotId) -> Option<Slot> {
        let slot = table.remove(id)?;
        self.forget_blind(&slot);
        Some(slot)
    }

    fn forget_blind(&self, slot: &Slot) {
        if slot.address.is_blind() {
            self.blind.remove(slot.address.stored());
        }
    }

    /// Drops everything: changes were missed.
    pub(super) fn flush(&self) {
        self.counters.flushes.fetch_add(1, Relaxed);
        // All at once: nobody may put a copy in between that an invalidation hides which is forgotten here.
        let mut shards: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        let empty =
            |shard: &mut MutexGuard<'_, Table<Lru>>| std::mem::replace(&mut **shard, Table::new(Lru::default()));
        let held: Vec<_> = shards.iter_mut().map(empty).collect();
        self.blind.clear();
        // Nothing is held; a line that started over must not hide what comes.
        *self.sequences.write() = Sequences::new(MAX_RECORDS);
        // Last, and under the locks: what is asked for from now on knows of everything that was forgotten.
        self.tickets.changed_all();
        drop(shards);
        drop(held);
    }

    /// Hides what an invalidation hides.
    pub(super) fn hide(&self, target: &Target, sequence: u64) {
        let mut sequences = self.sequences.write();
        sequences.note(target, sequence);
        // Raised under the lock and after the record: who sees the number finds the record.
        self.noted.fetch_add(1, SeqCst);
    }

    fn is_hidden(&self, slot: &mut Slot) -> bool {
        let noted = self.noted.load(SeqCst);
        if noted == slot.checked {
            return false;
        }
        let hidden = self.sequences.read().hides(&slot.address, slot.meta());
        if !hidden {
            slot.checked = noted;
        }
        hidden
    }

    /// Applies one change that happened below.
    pub(super) fn apply(&self, change: Invalidation) {
        match change {
            Invalidation::Address(address) => self.drop_copy(&address),
            Invalidation::Stored(stored) => self.drop_stored(&stored),
            Invalidation::Tag(space, tag, sequence) => self.hide(&Target::Tag(space, tag), sequence.0),
            Invalidation::Space(space, sequence) => self.hide(&Target::Space(space), sequence.0),
            Invalidation::Tenant(tenant, sequence) => self.hide(&Target::Tenant(tenant), sequence.0),
            Invalidation::Gap => {
                self.flush();
                self.unverified.store(false, SeqCst);
            }
            Invalidation::Lost => self.unverified.store(true, SeqCst),
            Invalidation::Restored => self.unverified.store(false, SeqCst),
        }
    }

    pub(super) fn is_verified(&self) -> bool {
        !self.unverified.load(SeqCst)
    }

    pub(super) fn stats(&self) -> NearStats {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        NearStats {
            entries: self.shards.iter().map(|shard| shard.lock().len()).sum(),
            bytes: self.shards.iter().map(|shard| shard.lock().bytes()).sum(),
            hits: count(&self.counters.hits),
            misses: count(&self.counters.misses),
            invalidated: count(&self.counters.invalidated),
            overtaken: count(&self.counters.overtaken),
            flushes: count(&self.counters.flushes),
            unverified: !self.is_verified(),
        }
    }
}

impl TryHit for NearView {
    fn try_hit(&self, parts: &Parts<'_>, scope: &Scope, now: Tick) -> Option<Entry> {
        // What is not a plain hit goes through the service, which counts it.
        let copies = &self.0;
        if !copies.is_verified() {
            return None;
        }
        let entry = copies.look(parts, scope, now, Freshness::Fresh).filter(|entry| !entry.meta.content.negative)?;
        copies.counters.hits.fetch_add(1, Relaxed);
        Some(entry)
    }
}

/// A plain stored key, taken apart.
struct StoredKey<'a> {
    space: &'a [u8],
    name: &'a [u8],
}

impl<'a> StoredKey<'a> {
    /// Labels have no colon, so the second one ends the space.
    fn parse(stored: &'a [u8]) -> Option<Self> {
        let mut colons = stored.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
        let end = colons.nth(1)? + 1;
        Some(Self { space: &stored[..end], name: &stored[end..] })
    }
}

impl Hash for StoredKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.space);
        state.write(self.name);
    }
}

impl Key for StoredKey<'_> {
    fn is(&self, address: &Address) -> bool {
        self.space == address.space_key() && self.name == address.name()
    }
}
