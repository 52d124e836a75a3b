//! The copies of one shard, and what was decoded from some of them.

use std::ops::Deref;

use hashbrown::HashTable;

use super::{
    copies::Beside,
    decoded::{Decoded, Value},
};
use crate::{
    address::{Address, Space},
    clock::Tick,
    memory::{AnyPolicy, Departure, Draft, Hashed, Key, RemovalCause, Replaced, SlotId, Table, Whole, wide},
};

/// The copies alone.
pub(super) type Entries = Table<AnyPolicy, Beside>;

/// Room that is not given back.
const LEAST_ROOM: usize = 64;

/// The copies of one shard, and what was decoded from some of them: each goes with its copy, whichever way that goes.
pub(super) struct Shard {
    decoded: HashTable<Decoded>,
    copies: Entries,
}

/// What was taken out, to be dropped once the lock is free: dropping a value may be long, or somebody else's code.
pub(super) struct Taken {
    pub(super) copy: Whole<Beside>,
    _decoded: Option<Decoded>,
}

impl Shard {
    pub(super) fn new(policy: AnyPolicy, share: usize) -> Self {
        Self { decoded: HashTable::new(), copies: Table::new(policy, share) }
    }

    /// Returns what is kept decoded for a key.
    #[inline(always)]
    pub(super) fn decoded(&self, hash: Hashed, key: &impl Key) -> Option<&Decoded> {
        self.decoded.find(hash.wide(), |decoded| decoded.is(key))
    }

    /// Keeps what was decoded from a copy that has none yet, for who asks by `space`.
    pub(super) fn keep(&mut self, copy: SlotId, space: &Space, value: Value, weight: usize) {
        let Some(decoded) = Decoded::new(&self.copies, copy, value) else { return };
        let Some(held) = self.copies.get(copy) else { return };
        held.class().asked_by(space);
        let (hash, weight) = (wide(held.hash), weight.saturating_add(Decoded::bytes(held.name())));
        self.copies.change(copy, |held| held.rest.extra.decoded = weight);
        self.decoded.insert_unique(hash, decoded, hash_of(&self.copies));
    }

    /// Takes out what was decoded from a copy; what it was charged for goes with the copy.
    fn take_decoded(&mut self, copy: SlotId) -> Option<Decoded> {
        let held = self.copies.get(copy).filter(|held| held.extra().decoded != 0)?;
        let found = self.decoded.find_entry(wide(held.hash), |decoded| decoded.copy == copy);
        let decoded = found.ok()?.remove().0;
        let (len, room) = (self.decoded.len(), self.decoded.capacity());
        if room > LEAST_ROOM && len < room / 8 {
            self.decoded.shrink_to(len * 2, hash_of(&self.copies));
        }
        Some(decoded)
    }

    /// Takes a copy out.
    pub(super) fn remove(&mut self, id: SlotId, cause: RemovalCause) -> Option<Taken> {
        let decoded = self.take_decoded(id);
        Some(Taken { copy: self.copies.remove(id, cause)?, _decoded: decoded })
    }

    /// Takes out a copy that nobody may be served any more; each one looked at costs one of `steps`.
    pub(super) fn pop_dead(&mut self, now: Tick, steps: &mut usize) -> Option<Taken> {
        let id = self.copies.next_dead(now, steps)?;
        self.remove(id, RemovalCause::Expired)
    }

    /// Puts a copy in, under `replaced` if there is one; returns what is left of that.
    pub(super) fn insert(
        &mut self,
        draft: &mut Draft<&Address>,
        beside: Beside,
        replaced: Option<SlotId>,
    ) -> (Option<Replaced<Beside>>, Option<Decoded>) {
        let decoded = replaced.and_then(|id| self.take_decoded(id));
        (self.copies.insert(draft, beside, replaced), decoded)
    }

    /// Returns by how much a copy would make the shard grow, beside what it replaces.
    pub(super) fn growth(&mut self, draft: &Draft<&Address>, replaced: Option<SlotId>) -> usize {
        self.copies.growth(draft, replaced)
    }

    /// Returns which copy should go next.
    pub(super) fn victim(&mut self) -> Option<SlotId> {
        self.copies.victim()
    }

    /// Extends the freshness of a copy that slides.
    pub(super) fn extend(&mut self, id: SlotId, until: Tick) {
        self.copies.change(id, |slot| slot.extend(until));
    }

    /// Remembers why a copy went.
    pub(super) fn note(&mut self, hash: Hashed, why: Departure) {
        self.copies.note(hash.short, why);
    }

    #[cfg(test)]
    pub(super) fn decoded_len(&self) -> usize {
        self.decoded.len()
    }

    #[cfg(test)]
    pub(super) fn decoded_room(&self) -> usize {
        self.decoded.capacity()
    }
}

/// Of what is kept decoded, whose copy is there for as long.
fn hash_of(copies: &Entries) -> impl Fn(&Decoded) -> u64 {
    |decoded| copies.get(decoded.copy).map_or(0, |copy| wide(copy.hash))
}

/// To look at the copies; whatever changes them is said above.
impl Deref for Shard {
    type Target = Entries;

    fn deref(&self) -> &Entries {
        &self.copies
    }
}
