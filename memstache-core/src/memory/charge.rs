//! Telling the accountant of a write, and making room within its tenant.

use std::sync::atomic::Ordering;

use super::{
    key::Place,
    policy::{EvictionPolicy, RemovalCause, SlotId},
    shared::{Afterwards, Shard, Shared},
    slot::Whole,
    write::{VICTIMS_PER_LOCK, Write},
};
use crate::{
    accountant::{Accountant, Charge},
    error::Error,
    request::When,
};

/// What the accountant said to a write.
pub(super) enum Charged {
    Yes,
    Refused(Error),
    /// Refused, but other entries of the tenant may go for it, of which there are none left here.
    OwnElsewhere(Error),
}

impl<P: EvictionPolicy> Shared<P> {
    /// Tells the accountant of the new entry; it may need the place of the old one, or of others of its tenant.
    #[inline(never)]
    pub(super) fn charge<K: Place>(
        &self,
        accountant: &dyn Accountant,
        shard: &mut Shard<P>,
        write: &mut Write<'_, K>,
        old: &mut Option<SlotId>,
        after: &mut Afterwards,
    ) -> Charged {
        let (tenant, charge) = (write.draft.place.tenant(), Charge::entry(write.draft.bytes));
        let mut charged = accountant.charge(tenant, charge);
        let mut own = false;
        if charged.is_err() {
            let held = old.take().and_then(|old| self.take_out(shard, old, RemovalCause::Removed));
            if held.is_some() {
                charged = accountant.charge(tenant, charge);
            }
            own = charged.is_err() && accountant.evicts_own(tenant, charge);
            if own {
                charged = charged.or_else(|refused| self.evict_own(shard, tenant, charge, None, after).ok_or(refused));
            }
            if let Some(held) = held {
                // A condition may be about what it replaces: that stays until others have made room for both.
                let conditional = own && write.when != When::Always;
                let keep = charged.is_err() && (conditional || matches!(write.when, When::IfLease(_)));
                after.keep(if keep { self.put_back(shard, held) } else { Some(held) });
                *old = shard.table.find(write.draft.hash, &write.draft.place);
            }
        }
        write.charged = charged.is_ok();
        match charged {
            Ok(()) => Charged::Yes,
            Err(refused) if own => Charged::OwnElsewhere(refused),
            Err(refused) => Charged::Refused(refused),
        }
    }

    /// Puts an entry in again that was just taken out; returns it if somebody else took its room.
    fn put_back(&self, shard: &mut Shard<P>, entry: Whole) -> Option<Whole> {
        let accountant = self.accountant.as_ref()?;
        if accountant.charge(entry.slot.tenant(), entry.charge()).is_err() {
            return Some(entry);
        }
        if !self.budget.take(shard.table.growth_again(&entry)) {
            self.release(&entry);
            return Some(entry);
        }
        shard.table.insert_again(entry);
        None
    }

    /// Evicts entries of a tenant from this shard, but for one, until a charge is accepted; `None` if it is not.
    pub(super) fn evict_own(
        &self,
        shard: &mut Shard<P>,
        tenant: Option<&str>,
        charge: Charge,
        but: Option<SlotId>,
        after: &mut Afterwards,
    ) -> Option<()> {
        let accountant = self.accountant.as_ref()?;
        for _ in 0..VICTIMS_PER_LOCK {
            let victim = shard.table.victim_of(tenant, but)?;
            after.keep(Some(self.take_out(shard, victim, RemovalCause::Evicted)?));
            shard.counters.evicted += 1;
            if accountant.charge(tenant, charge).is_ok() {
                return Some(());
            }
        }
        None
    }

    /// Evicts entries of the write's tenant from all shards, one lock at a time, until it is charged; `false` if there
    /// was nothing to evict.
    pub(super) fn evict_own_elsewhere<K: Place>(&self, write: &mut Write<'_, K>) -> bool {
        let (tenant, charge) = (write.draft.place.tenant(), Charge::entry(write.draft.bytes));
        let mut found = false;
        for _ in 0..self.shards.len() {
            let at = self.next_victims.fetch_add(1, Ordering::Relaxed) % self.shards.len();
            let mut after = Afterwards::default();
            let mut shard = self.shards[at].write();
            let before = shard.counters.evicted;
            let replaced = (write.when != When::Always).then(|| shard.table.find(write.draft.hash, &write.draft.place));
            write.charged = self.evict_own(&mut shard, tenant, charge, replaced.flatten(), &mut after).is_some();
            found |= shard.counters.evicted > before;
            if write.charged {
                return true;
            }
        }
        found
    }
}
