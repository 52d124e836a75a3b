//! Whose entries go: those of the tenant who writes, or of one who holds more.
//!
//! All of it follows from one number for each tenant, [`Accountant::load`]: what it holds, as a multiple of its weighted
//! fair share. Taking from who is loaded most gives max-min fairness without anybody computing shares, and lends what
//! is not used: Suter, Lakshman, Stiliadis and Choudhury, [Design considerations for supporting TCP with per-flow
//! queueing] (INFOCOM 1998), for the buffers of a router.
//!
//! [Design considerations for supporting TCP with per-flow queueing]: https://doi.org/10.1109/INFCOM.1998.659666

mod allowance;
mod queues;
mod share;

pub(super) use self::queues::Queues;
pub use self::{
    allowance::{Allowance, WhenOver},
    share::FairShare,
};
use super::{
    policy::{EvictionPolicy, SlotId},
    shared::{Shard, Shared},
};

/// Whom a write may evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Its own tenant, or one that is loaded at least as much.
    Fair,
    /// The most loaded, whoever writes.
    Anyone,
}

/// Who goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victim {
    pub(super) id: SlotId,
    /// Whether the newcomer must be worth more: not, if it takes what its tenant is entitled to from another.
    pub(super) contested: bool,
}

impl<P: EvictionPolicy> Shared<P> {
    /// Names who goes for a write of a tenant, but never `but`; `None` if there is nobody here.
    ///
    /// The policy decides as long as it names somebody above its share. Otherwise an old entry of the most loaded of the
    /// tenants here goes.
    pub(super) fn victim_for(
        &self,
        shard: &mut Shard<P>,
        tenant: Option<&str>,
        whom: Whom,
        but: Option<SlotId>,
    ) -> Option<Victim> {
        let named = shard.table.victim().filter(|named| Some(*named) != but);
        let load = |tenant: Option<&str>| self.accountant.as_ref().and_then(|accountant| accountant.load(tenant));
        let Some(writer) = load(tenant) else { return named.map(|id| Victim { id, contested: true }) };
        let least = if whom == Whom::Fair { writer } else { 0.0 };
        if let Some(id) = named
            && let Some(slot) = shard.table.slot(id)
        {
            let own = slot.tenant() == tenant;
            let owner = if own { writer } else { load(slot.tenant()).unwrap_or(0.0) };
            if owner > 1.0 && owner >= least {
                return Some(Victim { id, contested: own });
            }
        }
        let load = |other: Option<&str>| if other == tenant { writer } else { load(other).unwrap_or(0.0) };
        let (id, own) = shard.table.victim_of_most_loaded(tenant, least, load, but)?;
        Some(Victim { id, contested: own })
    }
}
