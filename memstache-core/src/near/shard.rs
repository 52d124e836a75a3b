//! The copies of one shard, and what was decoded from some of them.

use std::ops::Deref;

use hashbrown::HashTable;

use super::{
    copies::Beside,
    decoded::{Decoded, Value},
};
use crate::{
    address::Address,
    clock::Tick,
    memory::{AnyPolicy, Departure, Draft, Hashed, Key, RemovalCause, Replaced, SlotId, Table, Whole, wide},
};

/// Room that is not given back.
const LEAST_ROOM: usize = 64;

/// The copies of one shard, and what was decoded from some of them: each goes with its copy, whichever way that goes.
pub(super) struct Shard {
    copies: Table<AnyPolicy, Beside>,
    decoded: HashTable<Decoded>,
}

/// What was taken out, to be dropped once the lock is free: dropping a value may be long, or somebody else's code.
pub(super) struct Taken {
    pub(super) copy: Whole<Beside>,
    _decoded: Option<Decoded>,
}

impl Shard {
    pub(super) fn new(policy: AnyPolicy, share: usize) -> Self {
        Self { copies: Table::new(policy, share), decoded: HashTable::new() }
    }

    /// Returns what is kept decoded for a key.
    #[inline(always)]
    pub(super) fn decoded(&self, hash: Hashed, key: &impl Key) -> Option<&Decoded> {
        // As for the copies: no name is compared in the loop.
        let found = self.decoded.find(hash.wide(), |decoded| decoded.has(hash))?;
        if found.is(key, self) { Some(found) } else { self.decoded_among(hash, key) }
    }

    #[cold]
    #[inline(never)]
    fn decoded_among(&self, hash: Hashed, key: &impl Key) -> Option<&Decoded> {
        self.decoded.iter_hash(hash.wide()).find(|decoded| decoded.has(hash) && decoded.is(key, self))
    }

    /// Keeps what was decoded from a copy that has none yet.
    pub(super) fn keep(&mut self, copy: SlotId, value: Value, weight: usize) {
        let Some(decoded) = Decoded::new(self, copy, value) else { return };
        self.copies.change(copy, |held| held.rest.extra.decoded = weight.saturating_add(Decoded::BYTES));
        self.decoded.insert_unique(decoded.wide(), decoded, Decoded::wide);
    }

    /// Takes out what was decoded from a copy; what it was charged for goes with the copy.
    fn take_decoded(&mut self, copy: SlotId) -> Option<Decoded> {
        let held = self.copies.get(copy).filter(|held| held.extra().decoded != 0)?;
        let found = self.decoded.find_entry(wide(held.hash), |decoded| decoded.copy == copy);
        let decoded = found.ok()?.remove().0;
        let (len, room) = (self.decoded.len(), self.decoded.capacity());
        if room > LEAST_ROOM && len < room / 8 {
            self.decoded.shrink_to(len * 2, Decoded::wide);
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

/// To look at the copies; whatever changes them is said above.
impl Deref for Shard {
    type Target = Table<AnyPolicy, Beside>;

    fn deref(&self) -> &Self::Target {
        &self.copies
    }
}
