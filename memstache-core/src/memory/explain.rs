//! What is held of a key, and why it would not be answered; changes nothing.

use super::{
    departures::{Departure, Past},
    policy::EvictionPolicy,
    shared::Shared,
};
use crate::{
    address::Address,
    clock::Tick,
    expiry,
    request::{Reason, TierReport},
};

/// The name of the store in explanations and health.
pub(super) const TIER: &str = "memory";

impl<P: EvictionPolicy> Shared<P> {
    /// Explains one key at `now`.
    pub(super) fn explain_one(&self, address: &Address, now: Tick) -> TierReport {
        let hash = self.hash(address);
        let shard = self.shard(hash).read();
        let held = shard.table.find(hash, address).and_then(|id| shard.table.get(id));
        let mut report = match held {
            None => TierReport::absent(TIER, shard.table.past(hash).into()),
            Some(slot) => {
                let mut entry = slot.entry(now);
                entry.meta.confirmed_at = expiry::confirmed_by_authority(&entry.meta, now);
                let mut report = TierReport::holds(TIER, entry);
                report.reason = match self.lines.hidden_by(slot.space_key(), slot.tags(), slot.sequence()) {
                    None if now >= slot.dead_at() => Some(Reason::Expired),
                    hidden => hidden.map(|hidden| Past::Went(hidden).into()),
                };
                report
            }
        };
        let stands = |lease: &super::leases::Standing| {
            now < lease.until && !self.lines.cleared_since(address.space_key(), lease.sequence)
        };
        report.loading = shard.leases.get(hash, address).is_some_and(stands);
        report
    }
}

impl From<Past> for Reason {
    fn from(past: Past) -> Self {
        match past {
            Past::Never => Self::NeverStored,
            Past::Forgotten => Self::NotHeld,
            Past::Went(Departure::Evicted) => Self::Evicted,
            Past::Went(Departure::Expired) => Self::Expired,
            Past::Went(Departure::Removed) => Self::Removed,
            Past::Went(Departure::Tag) => Self::Tag,
            Past::Went(Departure::Cleared) => Self::Cleared,
        }
    }
}
