//! One shard's entries: found by key, evicted by a policy, expired by a wheel, counted in bytes.

use std::sync::Arc;

use hashbrown::HashTable;

use super::{
    class::{Class, Classes},
    departures::{Departure, Departures, Past},
    draft::Draft,
    fair::Queues,
    key::{Hashed, Key, Place, wide},
    policy::{EvictionPolicy, RemovalCause, SlotId},
    slab::{CHUNK, Slab},
    slot::{Extra, Held, HeldMut, Replaced, Rest, Slot, Whole},
    wheel::Wheel,
};
use crate::clock::Tick;

/// The entries of one shard; pure, and behind somebody else's lock.
///
/// It decides nothing: what is fresh, hidden or over a budget is its owner's business. The memory store and the near
/// cache both keep their entries in such tables.
pub(crate) struct Table<P, X = ()> {
    index: HashTable<u32>,
    slots: Slab<Slot, Rest<X>>,
    classes: Classes,
    policy: P,
    wheel: Wheel,
    departures: Departures,
    /// Only where an accountant asks whose entries they are.
    queues: Option<Box<Queues>>,
    /// Entries with a deadline.
    deadlines: usize,
    /// What the entries take, less their slots.
    loose: usize,
}

impl<P: EvictionPolicy, X: Extra> Table<P, X> {
    /// Makes a table for a share of so many bytes, which somebody else holds it to.
    pub(crate) fn new(policy: P, share: usize) -> Self {
        let (index, slots, classes) = (HashTable::new(), Slab::new(), Classes::new());
        let (wheel, departures) = (Wheel::new(), Departures::new(share));
        Self { index, slots, classes, policy, wheel, departures, queues: None, deadlines: 0, loose: 0 }
    }

    /// Keeps the entries of each tenant in order from now on; the table is empty.
    pub(crate) fn keep_tenants(&mut self) {
        self.queues = Some(Box::new(Queues::new()));
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the bytes taken: those of all entries and of slots that are kept free.
    pub(crate) fn bytes(&self) -> usize {
        self.loose + self.classes.bytes() + self.slots.chunks() * CHUNK * Whole::<X>::BYTES
    }

    /// Returns by how much an entry would make the table grow, beside what it replaces.
    pub(crate) fn growth(&mut self, draft: &Draft<impl Place>, replaced: Option<SlotId>) -> usize {
        let slot = Whole::<X>::BYTES;
        let replaced = replaced.and_then(|id| self.get(id));
        let entry = match replaced.map(|old| (draft.bytes.saturating_sub(old.bytes()), draft.is_of(old.class()))) {
            Some((more, true)) => return more,
            Some((more, false)) => more,
            None if self.slots.is_full() => draft.bytes - slot + CHUNK * slot,
            None => draft.bytes - slot,
        };
        entry + draft.class_bytes(&self.classes)
    }

    /// Returns by how much the table would grow if an entry that was taken out came back.
    pub(crate) fn growth_again(&mut self, entry: &Whole<X>) -> usize {
        let class = entry.slot.class();
        let known = class.own.is_some() || self.classes.find(class.space.key(), &class.content).is_some();
        let chunk = if self.slots.is_full() { CHUNK * Whole::<X>::BYTES } else { 0 };
        entry.bytes() - Whole::<X>::BYTES + chunk + if known { 0 } else { Class::bytes(class.space.key()) }
    }

    #[inline(always)]
    pub(crate) fn find(&self, hash: Hashed, key: &impl Key) -> Option<SlotId> {
        self.find_slot(hash, key).map(|(id, _)| id)
    }

    /// Finds an entry with the part of it that most hits need.
    #[inline(always)]
    pub(crate) fn find_slot(&self, hash: Hashed, key: &impl Key) -> Option<(SlotId, &Slot)> {
        let (id, slot) = self.likely(hash)?;
        if slot.is(hash.short, key) { Some((id, slot)) } else { self.find_among(hash, key) }
    }

    /// Finds an entry with all of it.
    #[cfg(feature = "near")]
    #[inline(always)]
    pub(crate) fn find_held(&self, hash: Hashed, key: &impl Key) -> Option<(SlotId, Held<'_, X>)> {
        let (id, slot) = self.find_slot(hash, key)?;
        Some((id, Held::new(slot, self.slots.rest(id.0)?)))
    }

    /// Finds the first entry whose hash is the one asked for, which nearly always is the one.
    ///
    /// No name is compared here: a call in the loop would have all that the loop needs put on the stack and fetched again.
    #[inline(always)]
    fn likely(&self, hash: Hashed) -> Option<(SlotId, &Slot)> {
        let mut found = None;
        let id = self.index.find(hash.wide(), |id| {
            found = self.slots.get(*id).filter(|slot| slot.hash == hash.short);
            found.is_some()
        })?;
        Some((SlotId(*id), found?))
    }

    /// Finds an entry among those of one hash.
    #[cold]
    #[inline(never)]
    fn find_among(&self, hash: Hashed, key: &impl Key) -> Option<(SlotId, &Slot)> {
        self.index.iter_hash(hash.wide()).find_map(|id| {
            let slot = self.slots.get(*id)?;
            slot.is(hash.short, key).then_some((SlotId(*id), slot))
        })
    }

    pub(crate) fn get(&self, id: SlotId) -> Option<Held<'_, X>> {
        self.slots.both(id.0).map(|(slot, rest)| Held::new(slot, rest))
    }

    /// Returns the part of an entry that most hits need.
    pub(crate) fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(id.0)
    }

    /// Tells the policy of a read.
    #[inline]
    pub(crate) fn record_access(&self, id: SlotId, hash: Hashed) {
        self.policy.record_access(id, hash.wide());
    }

    /// Puts an entry in under `replaced`, or under an id of its own; returns the one that it replaced.
    pub(crate) fn insert(
        &mut self,
        draft: &mut Draft<impl Place>,
        mut extra: X,
        replaced: Option<SlotId>,
    ) -> Option<Replaced<X>> {
        if let Some(bytes) = replaced.and_then(|id| self.refill(id, draft, &mut extra, |_, _| true)) {
            return Some(Replaced::refilled(bytes, extra));
        }
        let entry = draft.take(&mut self.classes, extra)?;
        self.put(entry, replaced).map(Replaced::from)
    }

    /// Puts a value in the place of one [of its class](Draft::is_of), if `allows` has nothing against it: told what is
    /// replaced and when that is dead. What counts the entries of a class stays.
    ///
    /// Returns what the old entry took; its value is left in the draft, its extra in `extra`.
    #[inline]
    pub(crate) fn refill(
        &mut self,
        id: SlotId,
        draft: &mut Draft<impl Place>,
        extra: &mut X,
        allows: impl FnOnce(Held<'_, X>, Tick) -> bool,
    ) -> Option<usize> {
        let (slot, rest) = self.slots.both_mut(id.0)?;
        let held = Held::new(slot, rest);
        let (bytes, before) = (held.bytes(), held.dead_at());
        if !draft.is_of(slot.class()) || !allows(held, before) {
            return None;
        }
        draft.refill((&mut *slot, &mut *rest), extra)?;
        let dead_at = Held::new(slot, rest).dead_at();
        self.loose = self.loose + draft.bytes - bytes;
        self.update(id, draft.hash.wide(), (bytes, draft.bytes), (before, dead_at));
        Some(bytes)
    }

    /// Evicts an entry and puts a new one in its place, under its id: the same as one after the other, for less.
    ///
    /// `None`, and nothing is done, unless both are of one class, no lower slots are free, and `allows` has nothing
    /// against what is evicted. Otherwise as [`refill`](Self::refill). Never where tenants are kept.
    #[inline]
    pub(crate) fn exchange(
        &mut self,
        victim: SlotId,
        draft: &mut Draft<impl Place>,
        extra: &mut X,
        allows: impl FnOnce(Held<'_, X>) -> bool,
    ) -> Option<usize> {
        debug_assert!(self.queues.is_none(), "who has an accountant evicts and inserts one after the other");
        let is_low = self.slots.is_low(victim.0);
        let (slot, rest) = self.slots.both_mut(victim.0)?;
        let held = Held::new(slot, rest);
        let (bytes, before, evicted) = (held.bytes(), held.dead_at(), slot.hash);
        let gone = wide(evicted);
        if !is_low || !draft.is_of(slot.class()) || !allows(held) {
            return None;
        }
        draft.refill((&mut *slot, &mut *rest), extra)?;
        slot.hash = draft.hash.short;
        self.departures.note(evicted, Departure::Evicted);
        let (hash, dead_at) = (draft.hash.wide(), Held::new(slot, rest).dead_at());
        if let Ok(found) = self.index.find_entry(gone, |held| *held == victim.0) {
            found.remove();
        }
        let slots = &self.slots;
        self.index.insert_unique(hash, victim.0, |id| slots.get(*id).map_or(0, |slot| wide(slot.hash)));
        self.loose = self.loose + draft.bytes - bytes;
        self.policy.record_remove(victim, gone, RemovalCause::Evicted);
        self.policy.record_insert(victim, hash, draft.bytes);
        self.move_deadline(victim, (before, dead_at));
        Some(bytes)
    }

    /// Puts an entry in again that was taken out.
    pub(crate) fn insert_again(&mut self, mut entry: Whole<X>) {
        let class = entry.slot.class_mut();
        if class.own.is_none() {
            let held = Arc::clone(class);
            *class = self.classes.join(held.space.key(), &held.content, || Arc::clone(&held));
        }
        self.put(entry, None);
    }

    fn put(&mut self, entry: Whole<X>, replaced: Option<SlotId>) -> Option<Whole<X>> {
        let (hash, bytes, dead_at) = (wide(entry.slot.hash), entry.bytes(), entry.held().dead_at());
        self.loose += bytes - Whole::<X>::BYTES;
        if let Some((id, (slot, rest))) = replaced.and_then(|id| Some((id, self.slots.both_mut(id.0)?))) {
            let old = Whole { slot: std::mem::replace(slot, entry.slot), rest: std::mem::replace(rest, entry.rest) };
            self.let_go(&old);
            self.update(id, hash, (old.bytes(), bytes), (old.held().dead_at(), dead_at));
            return Some(old);
        }
        let (id, left) = self.slots.insert(entry.slot, entry.rest);
        let slots = &self.slots;
        self.index.insert_unique(hash, id, |id| slots.get(*id).map_or(0, |slot| wide(slot.hash)));
        self.policy.record_insert(SlotId(id), hash, bytes);
        self.wheel.come(id, left.deadline_left(), dead_at);
        self.deadlines += usize::from(dead_at != Tick::NEVER);
        if let Some(queues) = &mut self.queues
            && let Some(slot) = self.slots.get(id)
        {
            queues.insert(SlotId(id), slot.space());
        }
        None
    }

    /// Tells of another value in the place of one.
    fn update(&mut self, id: SlotId, hash: u64, bytes: (usize, usize), deadlines: (Tick, Tick)) {
        if bytes.0 == bytes.1 {
            self.policy.record_access(id, hash);
        } else {
            self.policy.record_update(id, hash, bytes.1);
        }
        self.move_deadline(id, deadlines);
    }

    fn move_deadline(&mut self, id: SlotId, (before, after): (Tick, Tick)) {
        self.wheel.change(id.0, before, after);
        self.deadlines += usize::from(after != Tick::NEVER);
        self.deadlines -= usize::from(before != Tick::NEVER);
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, id: SlotId, cause: RemovalCause) -> Option<Whole<X>> {
        // The wheel is not told: it asks again when the time comes, or whoever comes under this id takes over.
        let (slot, rest) = self.slots.remove(id.0, |slot, rest| Rest::left(Held::new(slot, rest).dead_at()))?;
        if let Ok(found) = self.index.find_entry(wide(slot.hash), |held| *held == id.0) {
            found.remove();
        }
        self.policy.record_remove(id, wide(slot.hash), cause);
        self.departures.note(slot.hash, cause.into());
        if let Some(queues) = &mut self.queues {
            queues.remove(id);
        }
        let entry = Whole { slot, rest };
        self.deadlines -= usize::from(entry.held().dead_at() != Tick::NEVER);
        self.let_go(&entry);
        Some(entry)
    }

    /// Remembers why an entry went, if it is not plain from how it was taken out, or never came in.
    pub(crate) fn note(&mut self, hash: u32, why: Departure) {
        self.departures.note(hash, why);
    }

    /// Returns what is known of a key that is not held.
    pub(crate) fn past(&self, hash: Hashed) -> Past {
        self.departures.of(hash.short)
    }

    /// Stops counting an entry that was taken out.
    fn let_go(&mut self, entry: &Whole<X>) {
        self.classes.leave(entry.slot.class());
        self.loose -= entry.bytes() - Whole::<X>::BYTES;
    }

    /// Changes an entry in place, and puts its charge and its deadline right; its key and value stay.
    pub(crate) fn change(&mut self, id: SlotId, change: impl FnOnce(HeldMut<'_, X>)) {
        let Some((slot, rest)) = self.slots.both_mut(id.0) else { return };
        let held = Held::new(slot, rest);
        let (before, deadline, class) = (held.bytes(), held.dead_at(), Arc::clone(slot.class()));
        change(HeldMut { slot: &mut *slot, rest: &mut *rest });
        let held = Held::new(slot, rest);
        self.loose = self.loose + held.bytes() - before;
        let deadlines = (deadline, held.dead_at());
        if !Arc::ptr_eq(slot.class(), &class) {
            self.classes.leave(&class);
        }
        self.move_deadline(id, deadlines);
    }

    /// Returns which entry should go next.
    pub(crate) fn victim(&mut self) -> Option<SlotId> {
        self.policy.select_victim()
    }

    /// Returns which entry of a tenant should go next, but for one, if tenants are kept.
    pub(crate) fn victim_of(&mut self, tenant: Option<&str>, but: Option<SlotId>) -> Option<SlotId> {
        let (queues, policy) = (self.queues.as_mut()?, &mut self.policy);
        let row = queues.row(tenant)?;
        queues.victim(row, but, |slot| policy.worth(slot))
    }

    /// Returns which entry should go next, but for one, of the tenant that is loaded most, and at least so much; also
    /// whether it is the writer.
    pub(crate) fn victim_of_most_loaded(
        &mut self,
        writer: Option<&str>,
        least: f64,
        load: impl Fn(Option<&str>) -> f64,
        but: Option<SlotId>,
    ) -> Option<(SlotId, bool)> {
        let (queues, policy) = (self.queues.as_mut()?, &mut self.policy);
        let (row, own) = queues.most_loaded(writer, least, load)?;
        let victim = queues.victim(row, but, |slot| policy.worth(slot))?;
        Some((victim, own))
    }

    /// Returns how many tenants have entries here, if they are kept.
    #[cfg(test)]
    pub(crate) fn tenants(&self) -> usize {
        self.queues.as_ref().map_or(0, |queues| queues.tenants())
    }

    /// Makes an entry the newest of its tenant.
    pub(crate) fn renew(&mut self, id: SlotId) {
        if let Some(queues) = &mut self.queues {
            queues.renew(id);
        }
    }

    /// Returns the least by which a new entry makes the table grow.
    pub(crate) fn least_growth(draft: &Draft<impl Place>) -> usize {
        draft.bytes - Whole::<X>::BYTES
    }

    /// Returns whether a new entry is worth more than a victim.
    pub(crate) fn admits(&mut self, hash: Hashed, bytes: usize, victim: SlotId) -> bool {
        self.policy.admit(hash.wide(), bytes, victim)
    }

    /// Returns whether no entry can be dead yet.
    #[inline]
    pub(crate) fn is_idle(&self, now: Tick) -> bool {
        self.wheel.is_idle(now)
    }

    /// Takes out an entry that nobody may be served any more; each one looked at costs one of `steps`.
    pub(crate) fn pop_dead(&mut self, now: Tick, steps: &mut usize) -> Option<Whole<X>> {
        let dead = self.next_dead(now, steps)?;
        self.remove(dead, RemovalCause::Expired)
    }

    /// Returns an entry that nobody may be served any more, to be [removed](Self::remove) at once: it is not returned again.
    pub(crate) fn next_dead(&mut self, now: Tick, steps: &mut usize) -> Option<SlotId> {
        let slots = &self.slots;
        let deadline = |id| slots.both(id).map_or(Tick::NEVER, |(slot, rest)| Held::new(slot, rest).dead_at());
        self.wheel.pop(now, steps, deadline).map(SlotId)
    }

    /// Returns how many entries have a deadline.
    pub(crate) fn deadlines(&self) -> usize {
        self.deadlines
    }

    /// Returns one more than the highest slot in use.
    pub(crate) fn end(&self) -> SlotId {
        SlotId(self.slots.end())
    }
}

impl From<RemovalCause> for Departure {
    fn from(cause: RemovalCause) -> Self {
        match cause {
            RemovalCause::Evicted => Self::Evicted,
            RemovalCause::Expired => Self::Expired,
            RemovalCause::Removed => Self::Removed,
        }
    }
}
