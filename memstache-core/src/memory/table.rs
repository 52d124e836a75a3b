//! One shard's entries: found by key, evicted by a policy, expired by a wheel, counted in bytes.

use hashbrown::HashTable;

use super::{
    policy::{EvictionPolicy, SlotId},
    slab::{CHUNK, Slab},
    slot::{Key, Slot},
    wheel::Wheel,
};
use crate::{clock::Tick, expiry};

/// What one slot takes, in use or not.
const SLOT: usize = size_of::<Option<Slot>>();

/// The entries of one shard; pure, and behind somebody else's lock.
///
/// It decides nothing: what is fresh, hidden or over a budget is its owner's business. The memory store and the near
/// cache both keep their entries in such tables.
pub(crate) struct Table<P> {
    index: HashTable<u32>,
    slots: Slab<Slot>,
    policy: P,
    wheel: Wheel,
    /// What the entries take, less their slots.
    loose: usize,
}

impl<P: EvictionPolicy> Table<P> {
    pub(crate) fn new(policy: P) -> Self {
        Self { index: HashTable::new(), slots: Slab::new(), policy, wheel: Wheel::new(), loose: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the bytes taken: those of all entries and of slots that are kept free.
    pub(crate) fn bytes(&self) -> usize {
        self.loose + self.slots.chunks() * CHUNK * SLOT
    }

    /// Returns by how much an entry of `bytes` would make the table grow, beside what it replaces.
    pub(crate) fn growth(&mut self, replaced: Option<SlotId>, bytes: usize) -> usize {
        match replaced.and_then(|id| self.get(id)).map(Slot::bytes) {
            Some(old) => bytes.saturating_sub(old),
            None if self.slots.is_full() => bytes - SLOT + CHUNK * SLOT,
            None => bytes - SLOT,
        }
    }

    pub(crate) fn find(&self, hash: u64, key: &impl Key) -> Option<SlotId> {
        let same = |id: &u32| self.slots.get(*id).is_some_and(|slot| key.is(&slot.address));
        self.index.find(hash, same).map(|id| SlotId(*id))
    }

    pub(crate) fn get(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(id.0)
    }

    pub(crate) fn get_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(id.0)
    }

    /// Tells the policy of a read.
    pub(crate) fn record_access(&mut self, id: SlotId) {
        self.policy.record_access(id);
    }

    /// Tells the policy of a read that found nothing.
    pub(crate) fn record_miss(&mut self, hash: u64) {
        self.policy.record_miss(hash);
    }

    /// Puts an entry in; returns the one that it replaced.
    pub(crate) fn insert(&mut self, slot: Slot) -> Option<Slot> {
        let (hash, bytes, dead_at) = (slot.hash, slot.bytes(), expiry::dead_at(slot.meta()));
        self.loose += bytes - SLOT;
        if let Some(id) = self.find(hash, &slot.address) {
            let old = std::mem::replace(self.slots.get_mut(id.0)?, slot);
            self.loose -= old.bytes() - SLOT;
            self.policy.record_update(id, bytes);
            self.wheel.set(id.0, dead_at);
            return Some(old);
        }
        let id = self.slots.insert(slot);
        let slots = &self.slots;
        self.index.insert_unique(hash, id, |id| slots.get(*id).map_or(0, |slot| slot.hash));
        self.policy.record_insert(SlotId(id), hash, bytes);
        self.wheel.set(id, dead_at);
        None
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, id: SlotId) -> Option<Slot> {
        let slot = self.slots.remove(id.0)?;
        if let Ok(found) = self.index.find_entry(slot.hash, |held| *held == id.0) {
            found.remove();
        }
        self.policy.record_remove(id);
        self.wheel.remove(id.0);
        self.loose -= slot.bytes() - SLOT;
        Some(slot)
    }

    /// Puts the entry's deadline right after its lifetime changed.
    pub(crate) fn reschedule(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get(id.0) {
            self.wheel.set(id.0, expiry::dead_at(slot.meta()));
        }
    }

    /// Returns which entry should go next.
    pub(crate) fn victim(&mut self) -> Option<SlotId> {
        self.policy.select_victim()
    }

    /// Returns whether a new entry is worth more than a victim.
    pub(crate) fn admits(&mut self, hash: u64, bytes: usize, victim: SlotId) -> bool {
        self.policy.admit(hash, bytes, victim)
    }

    /// Takes out an entry that nobody may be served any more; each one looked at costs one of `steps`.
    pub(crate) fn pop_dead(&mut self, now: Tick, steps: &mut usize) -> Option<Slot> {
        self.wheel.pop(now, steps).and_then(|id| self.remove(SlotId(id)))
    }

    /// Returns how many entries have a deadline.
    pub(crate) fn deadlines(&self) -> usize {
        self.wheel.len()
    }

    /// Returns one more than the highest slot in use.
    pub(crate) fn end(&self) -> SlotId {
        SlotId(self.slots.end())
    }
}
