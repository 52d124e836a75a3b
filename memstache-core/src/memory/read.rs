//! Looking up, and granting the right to load.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{
    key::Hashed,
    leases::Waiter,
    policy::{EvictionPolicy, SlotId},
    shared::{Afterwards, Shard, Shared},
    slot::{Held, Slot},
};
use crate::{
    address::{Address, Parts},
    clock::Tick,
    entry::Entry,
    error::{Error, ErrorKind, Result},
    expiry::{self, Freshness},
    request::{GetItem, Lease, Lookup, OnMiss, Scope},
    version::Sequence,
};

impl<P: EvictionPolicy> Shared<P> {
    /// Returns the fresh value of a key.
    pub(super) fn value(&self, parts: &Parts<'_>) -> Option<Bytes> {
        let hash = self.hash(parts);
        {
            let shard = self.shard(hash).read();
            let Some((id, slot)) = shard.table.find_slot(hash, parts) else {
                self.reads.misses.bump();
                return None;
            };
            if self.is_fresh(slot, self.clock.upper_bound()) && !slot.is_negative() {
                self.reads.hits.bump();
                shard.table.record_access(id, hash);
                // Last, so that it is written where the caller wants it: to move it is to wait until it is written.
                return Some(slot.value());
            }
        }
        self.value_of_change(parts)
    }

    /// Returns the fresh value of a key whose entry a read may change.
    #[cold]
    #[inline(never)]
    fn value_of_change(&self, parts: &Parts<'_>) -> Option<Bytes> {
        let item = Address::from_parts(parts.space(), parts.name(), None).into();
        match self.look(&item, OnMiss::Report, &Scope::default(), self.clock.now()) {
            Ok(Lookup::Hit(entry)) if !entry.meta.content.negative => Some(entry.value),
            _ => None,
        }
    }

    /// Answers one item at once; a key that is busy is not waited for.
    pub(super) fn look(&self, item: &GetItem, on_miss: OnMiss, scope: &Scope, now: Tick) -> Result<Lookup> {
        let hash = self.hash(&item.address);
        if let Some(found) = self.glance(&self.shard(hash).read(), hash, item, on_miss, now) {
            return Ok(found);
        }
        let mut after = Afterwards::default();
        let mut shard = self.shard(hash).write();
        self.look_in(&mut shard, hash, item, on_miss, scope, now, &mut after)
    }

    /// Answers one item, or returns how to wait for the one who loads it.
    pub(super) fn look_or_wait(&self, item: &GetItem, scope: &Scope, now: Tick) -> Result<Result<Lookup>, Waiter> {
        let hash = self.hash(&item.address);
        if let Some(found) = self.glance(&self.shard(hash).read(), hash, item, OnMiss::Wait, now) {
            return Ok(Ok(found));
        }
        let mut after = Afterwards::default();
        let mut shard = self.shard(hash).write();
        let found = self.look_in(&mut shard, hash, item, OnMiss::Wait, scope, now, &mut after);
        // Under the same lock as the answer: the lease cannot end unnoticed in between.
        let busy = matches!(found, Ok(Lookup::Busy(_)));
        match busy.then(|| shard.leases.wait(hash, &item.address)).flatten() {
            Some(waiter) => {
                // Counted once it is answered.
                self.reads.misses.take_back();
                Err(waiter)
            }
            None => Ok(found),
        }
    }

    /// Answers what needs no change under a lock that readers share: plain hits, and plain misses.
    fn glance(&self, shard: &Shard<P>, hash: Hashed, item: &GetItem, on_miss: OnMiss, now: Tick) -> Option<Lookup> {
        let Some((id, slot)) = shard.table.find_slot(hash, &item.address) else {
            return (on_miss == OnMiss::Report).then(|| {
                self.reads.misses.bump();
                Lookup::Miss
            });
        };
        if !self.is_fresh(slot, now) {
            return None;
        }
        let slot = shard.table.get(id).filter(|slot| item.unless != Some(Held::version(*slot)))?;
        shard.table.record_access(id, hash);
        self.reads.answered(slot.is_negative());
        Some(Lookup::fresh(slot.entry(now)))
    }

    /// Returns whether an entry may be answered with as it is: fresh, not hidden, nothing to extend.
    #[inline]
    fn is_fresh(&self, slot: &Slot, now: Tick) -> bool {
        now < slot.fresh_until() && slot.extended(now).is_none() && !self.is_hidden(slot)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one question, taken apart once by the two callers")]
    fn look_in(
        &self,
        shard: &mut Shard<P>,
        hash: Hashed,
        item: &GetItem,
        on_miss: OnMiss,
        scope: &Scope,
        now: Tick,
        after: &mut Afterwards,
    ) -> Result<Lookup> {
        let id = self.settle(shard, hash, &item.address, now, after);
        if let Some((freshness, entry)) = id.and_then(|id| served(shard, id, hash, item, scope, now)) {
            return Ok(match freshness {
                Freshness::Fresh => {
                    let negative = entry.meta.content.negative;
                    self.reads.answered(negative);
                    Lookup::fresh(entry)
                }
                Freshness::Stale | Freshness::Expired => {
                    self.reads.stale.bump();
                    let refresh = on_miss != OnMiss::Report;
                    let asked = refresh.then(|| self.grant(shard, hash, item, now, after));
                    let lease =
                        asked.and_then(|asked| if let Ok(Lookup::Leased(lease)) = asked { Some(lease) } else { None });
                    Lookup::Stale(entry, lease)
                }
            });
        }
        self.reads.misses.bump();
        if on_miss == OnMiss::Report { Ok(Lookup::Miss) } else { self.grant(shard, hash, item, now, after) }
    }

    /// Grants the lease on a key, or tells who has it.
    fn grant(
        &self,
        shard: &mut Shard<P>,
        hash: Hashed,
        item: &GetItem,
        now: Tick,
        after: &mut Afterwards,
    ) -> Result<Lookup> {
        let address = &item.address;
        if let Some(lease) = shard.leases.get(hash, address) {
            let aged = now >= lease.until;
            if !aged && !self.lines.cleared_since(address.space_key(), lease.sequence) {
                if item.lease == Some(lease.id) {
                    let again = Lease { id: lease.id, sequence: Sequence(lease.sequence), ttl: self.lease_ttl };
                    shard.leases.renew(hash, address, now.after(again.ttl));
                    return Ok(Lookup::Leased(again));
                }
                let joinable = !self.lines.changed_since(address.space_key(), lease.sequence);
                return Ok(Lookup::Busy(joinable.then_some(lease.id)));
            }
            shard.counters.aged_out += u64::from(aged);
            after.lease = self.end_lease(shard, hash, address);
        }
        // Each grant lets one go, so that leases age out even where nothing sweeps.
        after.aged = self.age_one(shard, now, &mut 8);
        let free = |standing: usize| (standing < self.max_leases).then_some(standing + 1);
        if self.standing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_err() {
            let error = Error::new(ErrorKind::Overloaded, "as many keys are being loaded as the store has leases");
            return Err(error.without_effect());
        }
        let id = item.lease.filter(|id| id.0 != 0).unwrap_or_else(|| self.nonce());
        let lease = Lease { id, sequence: Sequence(self.lines.current()), ttl: self.lease_ttl };
        shard.leases.grant(hash, address.clone(), lease.id, lease.sequence.0, now.after(lease.ttl));
        shard.counters.granted += 1;
        Ok(Lookup::Leased(lease))
    }
}

/// Judges a settled entry for a reader, extends it if it slides, and copies it.
///
/// A negative record has no grace: there is nothing to serve.
fn served<P: EvictionPolicy>(
    shard: &mut Shard<P>,
    id: SlotId,
    hash: Hashed,
    item: &GetItem,
    scope: &Scope,
    now: Tick,
) -> Option<(Freshness, Entry)> {
    let slot = shard.table.get(id)?;
    if item.unless == Some(slot.version()) {
        return None;
    }
    let extended = slot.extended(now);
    let mut entry = slot.entry(now.min(slot.fresh_until()));
    let freshness = expiry::freshness(&entry.meta, now, scope.max_staleness);
    if freshness == Freshness::Expired || (freshness == Freshness::Stale && slot.is_negative()) {
        return None;
    }
    if let Some(until) = extended {
        entry.meta.fresh_until = until;
        shard.table.change(id, |slot| slot.extend(until));
    }
    shard.table.record_access(id, hash);
    Some((freshness, entry))
}
