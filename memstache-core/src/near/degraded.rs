//! What a near cache does about writes while the store is out of reach.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use super::{Copies, copies::Beside, tickets::Ticket};
use crate::{
    address::Address,
    entry::{Entry, NewEntry},
    error::{Error, Result},
    expiry,
    request::{OneOrMany, Request, Response, SetItem, Stored, When, Written},
    service::AsOf,
    version::{Sequence, Version},
};

/// How long a value is kept that the store was not there to take.
const LONGEST_UNVERIFIED: Duration = Duration::from_secs(24 * 3600);

/// How a plain write is answered that the store is not there to take.
///
/// The value is kept as an *unverified* copy either way: as long as the store cannot be asked, it is served as stale,
/// until its ttl and its grace end, a day at most; as soon as the store answers, it gives way to what the store says. A
/// write under a condition, and a removal, is always an error: a removal that could not be delivered drops the copy.
/// So is a write that failed [above the store](Error::above_store), of which nothing is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnDegraded {
    /// By its error: the caller decides.
    #[default]
    Error,
    /// By [`Written::NearOnly`]: the cache runs on its near copies. What the store holds comes back with it.
    ///
    /// A plain [`get`](crate::Cache::get) of the value is a miss all the same: it accepts no stale one.
    NearOnly,
}

/// The values of a write that may be kept here, item by item, and what was known of their keys when it was sent.
pub(super) type Spare = OneOrMany<Option<(NewEntry, AsOf)>>;

/// Keeps what a write may have to be kept of.
pub(super) fn spare(request: &Request, copies: &Copies) -> Option<Spare> {
    let Request::Set(set) = request else { return None };
    let plain = |item: &SetItem| (item.when == When::Always).then(|| (item.entry.clone(), copies.as_of(&item.address)));
    Some(set.items.map_ref(plain))
}

/// Keeps the values that the store did not take because it is out of reach, and answers as is wanted.
pub(super) fn settle(
    copies: &Copies,
    addresses: &OneOrMany<Address>,
    spare: Spare,
    result: Result<Response>,
) -> Result<Response> {
    let near_only = copies.on_degraded == OnDegraded::NearOnly;
    let keep = |address: &Address, spare: Option<(NewEntry, AsOf)>, error: Error| {
        // The write itself has dropped what was there, once; whatever else changed came after it.
        let keep = |(entry, as_of): (_, AsOf)| copies.insert_unverified(address, entry, as_of.after_own_write());
        let kept = error.is_store_out_of_reach() && spare.is_some_and(keep);
        if kept && near_only { Ok(Written::NearOnly) } else { Err(error) }
    };
    match result {
        Err(error) => {
            let items = addresses.iter().zip(spare).map(|(address, entry)| keep(address, entry, error.clone()));
            let items: Stored = items.collect();
            // Without a single item that was kept here, nothing was attempted.
            if items.iter().any(Result::is_ok) { Ok(Response::Stored(items)) } else { Err(error) }
        }
        Ok(Response::Stored(items)) if items.len() == addresses.len() => {
            let items = items.into_iter().zip(addresses.iter().zip(spare));
            let settled = items.map(|(item, (address, entry))| item.or_else(|error| keep(address, entry, error)));
            Ok(Response::Stored(settled.collect()))
        }
        other => other,
    }
}

impl Copies {
    /// Keeps a value that the store was not there to take, unless the key changed since: never fresh, and served only
    /// while the store cannot be asked. Returns whether it is kept.
    pub(super) fn insert_unverified(&self, address: &Address, entry: NewEntry, as_of: AsOf) -> bool {
        let now = self.clock.now();
        if entry.content.negative {
            return false;
        }
        let Entry { value, mut meta } = entry.into_entry(now, Version(0), Sequence(as_of.sequence));
        // With its grace: else a value that was read again during an outage would be lost sooner than one that was not.
        let life = expiry::dead_at(&meta).since(now).min(LONGEST_UNVERIFIED);
        (meta.fresh_until, meta.hard_until, meta.stale_for, meta.sliding) = (now, now, life, None);
        let kept = self.put(address, Entry { value, meta }, Beside::unverified(now), &as_of.into(), now);
        self.counters.kept_unverified.fetch_add(u64::from(kept), Relaxed);
        kept
    }

    /// Drops a copy that was never the store's: that was asked now, and says something else.
    pub(super) fn drop_unverified(&self, address: &Address) {
        if self.is_unverified(address) {
            self.drop_held(address);
        }
    }

    /// Returns what is known of a key now.
    pub(super) fn as_of(&self, address: &Address) -> AsOf {
        let Ticket { lane, count, everything } = self.ticket(address);
        let sequence = self.sequences.read().last(address.space_key());
        AsOf { lane, changes: count, flushes: everything, sequence }
    }
}

impl From<AsOf> for Ticket {
    fn from(AsOf { lane, changes, flushes, .. }: AsOf) -> Self {
        Self { lane, count: changes, everything: flushes }
    }
}
