//! Removing, prolonging, invalidating.

use super::{
    fair::Whom,
    key::{Hashed, Key, Place},
    policy::{EvictionPolicy, RemovalCause, SlotId},
    shared::{Afterwards, Shard, Shared},
    slot::Held,
};
use crate::{
    accountant::Charge,
    address::Address,
    clock::Tick,
    lifetime::Lifetime,
    request::{LeaseId, Target, TouchItem, TouchKind},
    version::Sequence,
};

impl<P: EvictionPolicy> Shared<P> {
    /// Removes one entry and ends the lease on its key; returns whether the entry was live.
    pub(super) fn remove_one(&self, place: &impl Place, now: Tick) -> bool {
        let live = self.remove_in(self.hash(place), place, now);
        // Told even if nothing was here: a copy elsewhere may be.
        self.events.changed(|| place.address());
        live
    }

    fn remove_in(&self, hash: Hashed, key: &impl Key, now: Tick) -> bool {
        let mut after = Afterwards::default();
        let mut guard = self.shard(hash).write();
        let shard = &mut *guard;
        self.turn(shard, now, &mut after);
        let id = self.settle(shard, hash, key, now, &mut after);
        let live = Self::is_live(shard, id, now, false);
        if let Some(id) = id {
            after.keep(self.take_out(shard, id, RemovalCause::Removed));
            shard.counters.removed += 1;
        }
        after.lease = self.end_lease(shard, hash, key);
        live
    }

    /// Touches one entry or lease.
    pub(super) fn touch_one(&self, item: TouchItem, now: Tick) -> bool {
        let TouchItem { address, kind } = item;
        let hash = self.hash(&address);
        let mut after = Afterwards::default();
        let mut guard = self.shard(hash).write();
        let shard = &mut *guard;
        match kind {
            TouchKind::Renew(id) => return self.renew(shard, hash, &address, id, now),
            TouchKind::Release(id) => {
                let stood = self.standing(shard, hash, &address, id, now).is_some();
                if shard.leases.get(hash, &address).is_some_and(|lease| lease.id == id) {
                    after.lease = self.end_lease(shard, hash, &address);
                }
                return stood;
            }
            TouchKind::Probe | TouchKind::Slide | TouchKind::Live(_) => {}
        }
        let id = self.settle(shard, hash, &address, now, &mut after);
        let Some(id) = id.filter(|id| Self::is_live(shard, Some(*id), now, true)) else { return false };
        match kind {
            TouchKind::Slide => slide(shard, id, hash, now),
            TouchKind::Live(lifetime) => {
                let lives = self.live_on(shard, id, lifetime, now, &mut after);
                drop(guard);
                self.events.changed(|| address);
                return lives;
            }
            TouchKind::Probe | TouchKind::Renew(_) | TouchKind::Release(_) => {}
        }
        true
    }

    fn renew(&self, shard: &mut Shard<P>, hash: Hashed, address: &Address, id: LeaseId, now: Tick) -> bool {
        let stands = self.standing(shard, hash, address, id, now).is_some();
        if stands {
            shard.leases.renew(hash, address, now.after(self.lease_ttl));
        }
        stands
    }

    /// Gives an entry a new lifetime; returns whether it still is here.
    ///
    /// Its slot may have no room for what is asked: then it takes more, for which others go.
    fn live_on(&self, shard: &mut Shard<P>, id: SlotId, lifetime: Lifetime, now: Tick, after: &mut Afterwards) -> bool {
        let Some(charged) = shard.table.get(id).map(Held::bytes) else { return false };
        let before = shard.table.bytes();
        shard.table.change(id, |slot| slot.live_on(lifetime, now));
        let changed = shard.table.bytes();
        let Some(slot) = shard.table.get(id) else { return false };
        let growth = slot.bytes() - charged;
        let more = Charge { bytes: growth, entries: 0 };
        let allowed = match &self.accountant {
            Some(accountant) if growth > 0 => {
                let space = slot.space().clone();
                accountant.charge(space.tenant(), more).is_ok()
                    || (accountant.evicts_own(space.tenant(), Charge::entry(charged + growth))
                        && self.evict_own(shard, space.tenant(), more, Some(id), after).is_some())
            }
            _ => true,
        };
        let grown = changed.saturating_sub(before);
        self.budget.give(before.saturating_sub(changed));
        if allowed && self.room_for(shard, id, grown, after) {
            return true;
        }
        // What could not be taken must not be given back.
        let held = shard.table.bytes();
        let Some(slot) = shard.table.remove(id, RemovalCause::Evicted) else { return false };
        self.budget.give((held - shard.table.bytes()).saturating_sub(grown));
        if let Some(accountant) = &self.accountant {
            let bytes = if allowed { charged + growth } else { charged };
            accountant.release(slot.slot.tenant(), Charge::entry(bytes));
        }
        shard.counters.evicted += 1;
        after.keep(slot);
        false
    }

    /// Takes room from the budget, else from other entries of this shard.
    fn room_for(&self, shard: &mut Shard<P>, id: SlotId, bytes: usize, after: &mut Afterwards) -> bool {
        let Some(space) = shard.table.slot(id).map(|slot| slot.space().clone()) else { return false };
        while !self.budget.take(bytes) {
            let victim = self.victim_for(shard, space.tenant(), Whom::Fair, Some(id));
            let Some(victim) = victim else { return false };
            let Some(slot) = self.take_out(shard, victim.id, RemovalCause::Evicted) else { return false };
            shard.counters.evicted += 1;
            after.keep(slot);
        }
        true
    }

    /// Hides everything that a target stands for.
    pub(super) fn invalidate_one(&self, target: &Target) -> Sequence {
        let sequence = self.lines.invalidate(target, |sequence| self.events.invalidated(target, sequence));
        self.wake_superseded(target);
        sequence
    }

    /// Hides what a target covers, under a number that somebody else gives.
    pub(super) fn invalidate_at(&self, target: &Target, at: Sequence) -> Result<(), Sequence> {
        self.lines.invalidate_at(target, at, |sequence| self.events.invalidated(target, sequence))?;
        self.wake_superseded(target);
        Ok(())
    }

    /// Hides everything that is held, under a number that somebody else gives.
    pub(super) fn clear_at(&self, at: Sequence) -> Result<(), Sequence> {
        let cleared = self.lines.clear_at(at, || self.events.cleared());
        self.clears.send_replace(());
        cleared
    }

    /// Wakes those who wait for leases that a clear supersedes.
    fn wake_superseded(&self, target: &Target) {
        if !matches!(target, Target::Tag(..)) {
            self.clears.send_replace(());
        }
    }
}

fn slide<P: EvictionPolicy>(shard: &mut Shard<P>, id: SlotId, hash: Hashed, now: Tick) {
    shard.table.record_access(id, hash);
    if let Some(until) = shard.table.get(id).and_then(|slot| slot.extended(now)) {
        shard.table.change(id, |slot| slot.extend(until));
    }
}
