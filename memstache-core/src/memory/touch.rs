//! Removing, prolonging, invalidating.

use super::{
    policy::{EvictionPolicy, SlotId},
    shared::{Afterwards, Shard, Shared},
};
use crate::{
    address::Address,
    clock::Tick,
    expiry,
    lifetime::Lifetime,
    request::{LeaseId, Target, TouchItem, TouchKind},
    version::Sequence,
};

impl<P: EvictionPolicy> Shared<P> {
    /// Removes one entry and ends the lease on its key; returns whether the entry was live.
    pub(super) fn remove_one(&self, address: Address, now: Tick) -> bool {
        let hash = self.hash(&address);
        let live = self.remove_in(hash, &address, now);
        // Told even if nothing was here: a copy elsewhere may be.
        self.events.changed(|| address);
        live
    }

    fn remove_in(&self, hash: u64, address: &Address, now: Tick) -> bool {
        let mut after = Afterwards::default();
        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        self.turn(shard, now, &mut after);
        let id = self.settle(shard, hash, address, now, &mut after);
        let live = Self::is_live(shard, id, now, false);
        if let Some(id) = id {
            after.keep(self.take_out(shard, id));
            shard.counters.removed += 1;
        }
        after.lease = self.end_lease(shard, hash, address);
        live
    }

    /// Touches one entry or lease.
    pub(super) fn touch_one(&self, item: TouchItem, now: Tick) -> bool {
        let TouchItem { address, kind } = item;
        let hash = self.hash(&address);
        let mut after = Afterwards::default();
        let mut guard = self.shard(hash).lock();
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
            TouchKind::Slide => slide(shard, id, now),
            TouchKind::Live(lifetime) => {
                live_on(shard, id, lifetime, now);
                drop(guard);
                self.events.changed(|| address);
            }
            TouchKind::Probe | TouchKind::Renew(_) | TouchKind::Release(_) => {}
        }
        true
    }

    fn renew(&self, shard: &mut Shard<P>, hash: u64, address: &Address, id: LeaseId, now: Tick) -> bool {
        let stands = self.standing(shard, hash, address, id, now).is_some();
        if stands {
            shard.leases.renew(hash, address, now.after(self.lease_ttl));
        }
        stands
    }

    /// Hides everything that a target stands for.
    pub(super) fn invalidate_one(&self, target: &Target) -> Sequence {
        let sequence = self.lines.invalidate(target, |sequence| self.events.invalidated(target, sequence));
        if !matches!(target, Target::Tag(..)) {
            self.clears.send_replace(());
        }
        sequence
    }
}

fn slide<P: EvictionPolicy>(shard: &mut Shard<P>, id: SlotId, now: Tick) {
    shard.table.record_access(id);
    if let Some(slot) = shard.table.get_mut(id)
        && let Some(until) = expiry::extended(slot.meta(), now)
    {
        slot.entry.meta.fresh_until = until;
        shard.table.reschedule(id);
    }
}

/// Gives an entry a new lifetime from `now` on; it is the same write still.
fn live_on<P: EvictionPolicy>(shard: &mut Shard<P>, id: SlotId, lifetime: Lifetime, now: Tick) {
    let Some(slot) = shard.table.get_mut(id) else { return };
    let meta = &mut slot.entry.meta;
    meta.hard_until = lifetime.ttl().map_or(Tick::NEVER, |ttl| now.after(ttl));
    meta.fresh_until = lifetime.sliding().map_or(meta.hard_until, |window| now.after(window).min(meta.hard_until));
    meta.stale_for = lifetime.stale_for();
    meta.sliding = lifetime.sliding();
    shard.table.reschedule(id);
}
