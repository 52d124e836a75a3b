//! Looking up, and granting the right to load.

use std::sync::atomic::Ordering;

use super::{
    leases::Waiter,
    policy::{EvictionPolicy, SlotId},
    shared::{Afterwards, Shard, Shared},
};
use crate::{
    address::Address,
    clock::Tick,
    entry::Entry,
    error::{Error, ErrorKind, Result},
    expiry::{self, Freshness},
    request::{GetItem, Lease, Lookup, OnMiss, Scope},
    version::Sequence,
};

impl<P: EvictionPolicy> Shared<P> {
    /// Answers one item at once; a key that is busy is not waited for.
    pub(super) fn look(&self, item: &GetItem, on_miss: OnMiss, scope: &Scope, now: Tick) -> Result<Lookup> {
        let hash = self.hash(&item.address);
        let mut after = Afterwards::default();
        let mut shard = self.shard(hash).lock();
        self.look_in(&mut shard, hash, item, on_miss, scope, now, &mut after)
    }

    /// Answers one item, or returns how to wait for the one who loads it.
    pub(super) fn look_or_wait(&self, item: &GetItem, scope: &Scope, now: Tick) -> Result<Result<Lookup>, Waiter> {
        let hash = self.hash(&item.address);
        let mut after = Afterwards::default();
        let mut shard = self.shard(hash).lock();
        let found = self.look_in(&mut shard, hash, item, OnMiss::Wait, scope, now, &mut after);
        // Under the same lock as the answer: the lease cannot end unnoticed in between.
        let busy = matches!(found, Ok(Lookup::Busy(_)));
        match busy.then(|| shard.leases.wait(hash, &item.address)).flatten() {
            Some(waiter) => {
                // Counted once it is answered.
                shard.counters.misses -= 1;
                Err(waiter)
            }
            None => Ok(found),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one question, taken apart once by the two callers")]
    fn look_in(
        &self,
        shard: &mut Shard<P>,
        hash: u64,
        item: &GetItem,
        on_miss: OnMiss,
        scope: &Scope,
        now: Tick,
        after: &mut Afterwards,
    ) -> Result<Lookup> {
        let id = self.settle(shard, hash, &item.address, now, after);
        if let Some((freshness, entry)) = id.and_then(|id| served(shard, id, item, scope, now)) {
            return Ok(match freshness {
                Freshness::Fresh if entry.meta.content.negative => {
                    shard.counters.negative += 1;
                    Lookup::Negative(entry.meta)
                }
                Freshness::Fresh => {
                    shard.counters.hits += 1;
                    Lookup::Hit(entry)
                }
                Freshness::Stale | Freshness::Expired => {
                    shard.counters.stale += 1;
                    let refresh = on_miss != OnMiss::Report;
                    let asked = refresh.then(|| self.grant(shard, hash, &item.address, now, after));
                    let lease =
                        asked.and_then(|asked| if let Ok(Lookup::Leased(lease)) = asked { Some(lease) } else { None });
                    Lookup::Stale(entry, lease)
                }
            });
        }
        shard.counters.misses += 1;
        shard.table.record_miss(hash);
        if on_miss == OnMiss::Report { Ok(Lookup::Miss) } else { self.grant(shard, hash, &item.address, now, after) }
    }

    /// Grants the lease on a key, or tells who has it.
    fn grant(
        &self,
        shard: &mut Shard<P>,
        hash: u64,
        address: &Address,
        now: Tick,
        after: &mut Afterwards,
    ) -> Result<Lookup> {
        if let Some(lease) = shard.leases.get(hash, address) {
            let aged = now >= lease.until;
            if !aged && !self.lines.cleared_since(address, lease.sequence) {
                let joinable = !self.lines.changed_since(address, lease.sequence);
                return Ok(Lookup::Busy(joinable.then_some(lease.id)));
            }
            shard.counters.aged_out += u64::from(aged);
            after.lease = self.end_lease(shard, hash, address);
        }
        // Each grant lets one go, so that leases age out even where nothing sweeps.
        after.aged = self.age_one(shard, now, &mut 8);
        let free = |standing: usize| (standing < self.max_leases).then_some(standing + 1);
        if self.standing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_err() {
            return Err(Error::new(ErrorKind::Overloaded, "as many keys are being loaded as the store has leases"));
        }
        let lease = Lease { id: self.nonce(), sequence: Sequence(self.lines.current()), ttl: self.lease_ttl };
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
    item: &GetItem,
    scope: &Scope,
    now: Tick,
) -> Option<(Freshness, Entry)> {
    let slot = shard.table.get_mut(id)?;
    let meta = &mut slot.entry.meta;
    if item.unless == Some(meta.version) {
        return None;
    }
    meta.confirmed_at = expiry::confirmed_by_authority(meta, now);
    let freshness = expiry::freshness(meta, now, scope.max_staleness);
    if freshness == Freshness::Expired || (freshness == Freshness::Stale && meta.content.negative) {
        return None;
    }
    let extended = expiry::extended(meta, now);
    meta.fresh_until = extended.unwrap_or(meta.fresh_until);
    let entry = slot.entry.clone();
    if extended.is_some() {
        shard.table.reschedule(id);
    }
    shard.table.record_access(id);
    Some((freshness, entry))
}
