//! How the naive store answers a read.

use super::{Sabotage, state::State};
use crate::{
    address::Address,
    clock::Tick,
    entry::Entry,
    expiry::{self, Freshness},
    request::{Get, GetItem, Lease, LeaseId, Lookup, OnMiss, OneOrMany, Scope},
};

impl State {
    /// Answers every item; under [`OnMiss::Wait`] with when to look again, if somebody else loads one of them.
    pub(super) fn look_up_all(&mut self, op: &Get, now: Tick) -> (OneOrMany<Lookup>, Option<Tick>) {
        let mut granted = Vec::new();
        let mut wake = None;
        let found = op.items.map_ref(|item| {
            let lookup = self.look_up(item, op.on_miss, &op.scope, now);
            match &lookup {
                Lookup::Leased(lease) | Lookup::Stale(_, Some(lease)) => granted.push((item.address.clone(), lease.id)),
                // A key asked twice: its loader is the asker, who must not wait for itself.
                Lookup::Busy(_) if self.holds_any(&item.address, &granted, now) => {}
                Lookup::Busy(_) if op.on_miss == OnMiss::Wait => {
                    let ends = self.lease_end(&item.address);
                    wake = Some(wake.map_or(ends, |wake: Tick| wake.min(ends)));
                }
                _ => {}
            }
            lookup
        });
        let late = op.scope.deadline.is_some_and(|deadline| now >= deadline);
        if wake.is_some() && !late && !self.is(Sabotage::HoldsLeasesWhileWaiting) {
            granted.iter().for_each(|(address, _)| self.end_lease(address));
        }
        (found, wake)
    }

    fn holds_any(&self, address: &Address, granted: &[(Address, LeaseId)], now: Tick) -> bool {
        let id = self.standing(address, now).map(|held| held.lease.id);
        granted.iter().any(|(key, lease)| key == address && Some(*lease) == id) && !self.is(Sabotage::WaitsForItself)
    }

    fn look_up(&mut self, item: &GetItem, on_miss: OnMiss, scope: &Scope, now: Tick) -> Lookup {
        match self.readable(item, scope, now) {
            Some((entry, Freshness::Stale)) => {
                let lease = (on_miss != OnMiss::Report).then(|| self.grant_stale(item, now)).flatten();
                Lookup::Stale(entry, lease)
            }
            Some((entry, _)) if self.is(Sabotage::TakesNegativeForValue) => Lookup::Hit(entry),
            Some((entry, _)) if entry.meta.content.negative && self.is(Sabotage::LosesSealedNegative) => {
                Lookup::Negative(entry.meta)
            }
            Some((entry, _)) => Lookup::fresh(entry),
            None if on_miss == OnMiss::Report => Lookup::Miss,
            None => self.grant(item, now).map_or_else(Lookup::Busy, Lookup::Leased),
        }
    }

    fn grant_stale(&mut self, item: &GetItem, now: Tick) -> Option<Lease> {
        if self.is(Sabotage::LeasesStaleToEverybody) {
            self.end_lease(&item.address);
        }
        self.grant(item, now).ok()
    }

    /// Returns the entry as this reader may see it, extended and confirmed by the read.
    fn readable(&mut self, item: &GetItem, scope: &Scope, now: Tick) -> Option<(Entry, Freshness)> {
        let version = self.visible(&item.address)?.entry.meta.version;
        if item.unless == Some(version) && !self.is(Sabotage::IgnoresUnless) {
            return None;
        }
        self.slide(&item.address, now);
        let mut entry = self.visible(&item.address)?.entry.clone();
        entry.meta.confirmed_at = expiry::confirmed_by_authority(&entry.meta, now);
        let max_staleness = scope.max_staleness.filter(|_| !self.is(Sabotage::IgnoresMaxStaleness));
        match self.freshness(&entry, now, max_staleness) {
            Freshness::Expired => None,
            judged => Some((entry, judged)),
        }
    }

    /// Counts a read: extends a sliding entry.
    pub(super) fn slide(&mut self, address: &Address, now: Tick) {
        let (key, always, past_ttl) =
            (self.key(address), self.is(Sabotage::SlidesOnEveryRead), self.is(Sabotage::SlidesPastTtl));
        let Some(meta) = self.entries.get_mut(&key).map(|kept| &mut kept.entry.meta) else { return };
        let mut until = expiry::extended(meta, now);
        if let Some(window) = meta.sliding.filter(|_| now < meta.fresh_until) {
            if always {
                until = Some(now.after(window).min(meta.hard_until));
            }
            if past_ttl {
                until = Some(now.after(window));
            }
        }
        meta.fresh_until = until.unwrap_or(meta.fresh_until);
    }
}
