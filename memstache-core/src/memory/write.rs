//! Storing under a condition, within the bound.

use super::{
    budget::Budget,
    charge::Charged,
    departures::Departure,
    draft::Draft,
    key::Place,
    policy::{EvictionPolicy, RemovalCause, SlotId},
    room::Room,
    shared::{Afterwards, Shard, Shared},
    slot::{Held, Packed},
};
use crate::{
    accountant::{Accountant, Charge},
    clock::Tick,
    entry::NewEntry,
    error::{Error, ErrorKind, Result},
    request::{When, Written},
    version::{Sequence, Version},
};

/// The part of the bound that one entry may take.
const LARGEST_SHARE: usize = 8;
/// Entries evicted under one lock; then others get their turn.
pub(super) const VICTIMS_PER_LOCK: usize = 64;
/// Rounds over all shards without anything to evict, because other writers hold the room, before a write gives up.
const FRUITLESS_ROUNDS: usize = 64;

/// One write on its way in.
pub(super) struct Write<'a, K> {
    pub(super) draft: &'a mut Draft<K>,
    pub(super) when: When,
    must_seal: bool,
    now: Tick,
    /// Room taken from the budget for it.
    pub(super) held: usize,
    /// Whether the accountant was told.
    pub(super) charged: bool,
}

impl<K> Write<'_, K> {
    /// Takes from the budget what is wanted and not held yet.
    #[inline]
    pub(super) fn takes(&mut self, budget: &Budget, want: usize) -> bool {
        let taken = self.held >= want || budget.take(want - self.held);
        if taken {
            self.held = self.held.max(want);
        }
        taken
    }
}

/// What one turn under the shard's lock came to.
pub(super) enum Turn {
    Done(Result<Written>),
    /// There is more to evict here.
    Again,
    /// Nothing is left to evict here, and so much room is wanted.
    Elsewhere(usize),
    /// The tenant is over a limit for which others of its entries may go, and has none here.
    OwnElsewhere(Error),
}

/// What the condition of a write says.
enum Verdict {
    Go(Sequence),
    Repeated(Version),
    Refused,
}

impl<P: EvictionPolicy> Shared<P> {
    /// Stores one entry under its condition.
    ///
    /// A write that fails because of what it carries still ends the key's leases, and takes the old value out unless
    /// it was a fill: the caller said that the old value is wrong.
    pub(super) fn set_one(
        &self,
        place: impl Place,
        entry: &mut NewEntry,
        when: When,
        now: impl FnOnce() -> Tick,
    ) -> Result<Written> {
        // First: the processor fetches the memory that this writes to while the rest is worked out.
        let packed = Packed::new(place.name(), std::mem::take(&mut entry.value), &entry.content);
        let (hash, now) = (self.hash(&place), now());
        let must_seal = entry.options.encrypt == Some(true) && !entry.content.sealed;
        let mut draft = Draft::of_new::<()>(place, hash, packed, entry, now);
        let plain = when == When::Always && !must_seal && self.accountant.is_none() && !self.is_too_large(&draft);
        let held = match plain.then(|| self.set_plain(&mut draft, now)) {
            Some(Ok(version)) => {
                self.events.changed(|| draft.place.address());
                return Ok(Written::Stored(version));
            }
            Some(Err(held)) => held,
            None => 0,
        };
        self.set_any(Write { draft: &mut draft, when, must_seal, now, held, charged: false })
    }

    /// Goes through with a write of whatever kind.
    #[inline(never)]
    fn set_any<K: Place>(&self, mut write: Write<'_, K>) -> Result<Written> {
        let written = match self.try_write(&mut write) {
            Turn::Done(written) => written,
            turn => self.try_again(&mut write, turn),
        };
        self.budget.give(write.held);
        if let Some(accountant) = self.accountant.as_ref().filter(|_| write.charged) {
            accountant.release(write.draft.place.tenant(), Charge::entry(write.draft.bytes));
        }
        if !matches!(written, Ok(Written::Refused)) {
            self.events.changed(|| write.draft.place.address());
        }
        written
    }

    fn is_too_large<K>(&self, draft: &Draft<K>) -> bool {
        draft.bytes > self.budget.max() / LARGEST_SHARE
    }

    /// Goes on with a write for which one turn was not enough.
    #[cold]
    fn try_again<K: Place>(&self, write: &mut Write<'_, K>, mut turn: Turn) -> Result<Written> {
        let mut fruitless = 0;
        loop {
            match turn {
                Turn::Done(written) => return written,
                Turn::Again => {}
                Turn::Elsewhere(want) if self.evict_elsewhere(write, want) => fruitless = 0,
                Turn::OwnElsewhere(_) if self.evict_own_elsewhere(write) => fruitless = 0,
                Turn::Elsewhere(_) | Turn::OwnElsewhere(_) if fruitless < FRUITLESS_ROUNDS => {
                    fruitless += 1;
                    // Others hold parts of the room: nobody gets on unless somebody lets go.
                    self.budget.give(std::mem::take(&mut write.held));
                    std::thread::yield_now();
                }
                Turn::Elsewhere(_) => {
                    let error = Error::new(ErrorKind::Overloaded, "other writes hold all the room of the store");
                    return Err(self.give_up(write, error));
                }
                Turn::OwnElsewhere(error) => return Err(self.give_up(write, error)),
            }
            turn = self.try_write(write);
        }
    }

    fn try_write<K: Place>(&self, write: &mut Write<'_, K>) -> Turn {
        let mut after = Afterwards::default();
        let mut guard = self.shard(write.draft.hash).write();
        let shard = &mut *guard;
        self.turn(shard, write.now, &mut after);
        let mut old = self.settle(shard, write.draft.hash, &write.draft.place, write.now, &mut after);
        let verdict = match write.when {
            When::Always => Verdict::Go(Sequence(self.lines.current())),
            _ => self.judge(shard, write, old),
        };
        let sequence = match verdict {
            Verdict::Go(sequence) => sequence,
            Verdict::Repeated(version) => return Turn::Done(Ok(Written::Stored(version))),
            Verdict::Refused => {
                shard.counters.refused += 1;
                return Turn::Done(Ok(Written::Refused));
            }
        };
        if write.must_seal || self.is_too_large(write.draft) {
            let error = self.unacceptable(shard, write);
            return Turn::Done(Err(self.refuse(shard, write, old, error, &mut after)));
        }
        if let Some(accountant) = self.accountant.as_deref().filter(|_| !write.charged) {
            match self.charge(accountant, shard, write, &mut old, &mut after) {
                Charged::Yes => {}
                Charged::Refused(error) => return Turn::Done(Err(self.refuse(shard, write, old, error, &mut after))),
                Charged::OwnElsewhere(error) => return Turn::OwnElsewhere(error),
            }
        }
        match self.make_room(shard, write, &mut old, &mut after) {
            Room::Made => Turn::Done(Ok(self.store(shard, write, old, sequence, &mut after))),
            Room::NotAdmitted => Turn::Done(Ok(self.pass_over(shard, write, old, &mut after))),
            Room::Missing(turn) => turn,
        }
    }

    /// Asks the condition of a write, with the sequence under which it may be stored.
    #[inline(never)]
    fn judge<K: Place>(&self, shard: &Shard<P>, write: &Write<'_, K>, old: Option<SlotId>) -> Verdict {
        let live = || Self::is_live(shard, old, write.now, true);
        let version = || old.and_then(|id| shard.table.get(id)).map(Held::version);
        let holds = match write.when {
            When::Always => true,
            When::IfAbsent => !live(),
            When::IfPresent => live(),
            When::IfVersion(expected) => live() && version() == Some(expected),
            When::IfLease(id) => {
                return match self.standing(shard, write.draft.hash, &write.draft.place, id, write.now) {
                    Some(sequence) => Verdict::Go(Sequence(sequence)),
                    None => version()
                        .filter(|version| shard.leases.filled(id) == Some(*version))
                        .map_or(Verdict::Refused, Verdict::Repeated),
                };
            }
        };
        if holds { Verdict::Go(Sequence(self.lines.current())) } else { Verdict::Refused }
    }

    /// Says why an entry can never be stored here.
    #[cold]
    fn unacceptable<K>(&self, shard: &mut Shard<P>, write: &Write<'_, K>) -> Error {
        if write.must_seal {
            return Error::new(ErrorKind::Unsupported, "nothing in this stack seals values");
        }
        shard.counters.too_large += 1;
        let (limit, given) = (self.budget.max() / LARGEST_SHARE, write.draft.bytes);
        let detail = format!("value must take at most {limit} bytes with its key, but {given} bytes was given");
        Error::new(ErrorKind::TooLarge, detail)
    }

    /// Leaves nothing behind that a failed write has declared wrong.
    #[cold]
    fn refuse<K: Place>(
        &self,
        shard: &mut Shard<P>,
        write: &Write<'_, K>,
        old: Option<SlotId>,
        error: Error,
        after: &mut Afterwards,
    ) -> Error {
        after.lease = self.end_lease(shard, write.draft.hash, &write.draft.place);
        if let Some(old) = old.filter(|_| !matches!(write.when, When::IfLease(_))) {
            after.keep(self.take_out(shard, old, RemovalCause::Removed));
        }
        error
    }

    /// Fails a write for which no room could be had.
    fn give_up<K: Place>(&self, write: &Write<'_, K>, error: Error) -> Error {
        let mut after = Afterwards::default();
        let mut shard = self.shard(write.draft.hash).write();
        let old = shard.table.find(write.draft.hash, &write.draft.place);
        self.refuse(&mut shard, write, old, error, &mut after)
    }

    fn store<K: Place>(
        &self,
        shard: &mut Shard<P>,
        write: &mut Write<'_, K>,
        old: Option<SlotId>,
        sequence: Sequence,
        after: &mut Afterwards,
    ) -> Written {
        let version = shard.next_version();
        write.draft.stamp(version, sequence);
        let (before, place) = (shard.table.bytes(), old);
        let old = shard.table.insert(write.draft, (), old);
        // What is held and was not needed, or what the old value gave back, is returned at the end.
        write.held = (write.held + before).saturating_sub(shard.table.bytes());
        write.charged = false;
        if let Some((accountant, old)) = self.accountant.as_ref().zip(old.as_ref()) {
            accountant.release(write.draft.place.tenant(), Charge::entry(old.bytes));
            place.into_iter().for_each(|id| shard.table.renew(id));
        }
        after.replaced = old;
        if let When::IfLease(id) = write.when {
            shard.leases.fill(id, version);
        }
        after.lease = self.end_lease(shard, write.draft.hash, &write.draft.place);
        shard.counters.inserts += 1;
        Written::Stored(version)
    }

    /// Treats an entry that the policy does not admit as stored and evicted at once.
    #[inline(never)]
    fn pass_over<K: Place>(
        &self,
        shard: &mut Shard<P>,
        write: &Write<'_, K>,
        old: Option<SlotId>,
        after: &mut Afterwards,
    ) -> Written {
        if let Some(old) = old {
            after.keep(self.take_out(shard, old, RemovalCause::Removed));
        }
        after.lease = self.end_lease(shard, write.draft.hash, &write.draft.place);
        shard.counters.evicted += 1;
        shard.table.note(write.draft.hash.short, Departure::Evicted);
        Written::Stored(shard.next_version())
    }
}
