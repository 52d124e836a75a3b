//! Hits that are answered at once, without the service.

use std::{any::Any, sync::Arc};

use super::{NearView, decoded::Value, kept::Looked};
use crate::{
    address::{Address, Parts},
    clock::Tick,
    entry::{Entry, Meta, NewEntry},
    request::{LeaseId, Scope, TierReport},
    service::{AsOf, DecodedAs, TryHit},
};

impl NearView {
    /// Returns what `take` makes of what is kept decoded, for a read that asks for a fresh value and nothing more: a hit.
    #[inline(always)]
    pub(crate) fn decoded<V>(
        &self,
        parts: &Parts<'_>,
        now: Tick,
        wanted: DecodedAs,
        take: impl FnOnce(&Value) -> Option<V>,
    ) -> Looked<V> {
        let copies = &self.0;
        if !copies.is_verified() {
            return Looked::Sure(None);
        }
        let looked = copies.decoded(parts, now, wanted, take);
        if let Looked::Sure(Some(_)) = &looked {
            copies.counters.hits.bump();
        }
        looked
    }
}

impl TryHit for NearView {
    fn try_hit(&self, parts: &Parts<'_>, scope: &Scope, now: Tick) -> Option<Entry> {
        // What is not a plain hit goes through the service, which counts it.
        let copies = &self.0;
        if !copies.is_verified() {
            return None;
        }
        let entry = copies.fresh(parts, scope, now, |_, slot| (!slot.is_negative()).then(|| slot.entry_held()))?;
        copies.counters.hits.bump();
        Some(entry)
    }

    fn try_decoded(
        &self,
        parts: &Parts<'_>,
        scope: &Scope,
        now: Tick,
        wanted: &DecodedAs,
        told: Option<&mut Option<Meta>>,
    ) -> Option<Arc<dyn Any + Send + Sync>> {
        let copies = &self.0;
        if !copies.is_verified() {
            return None;
        }
        let value = copies.decoded_by_copy(parts, scope, now, *wanted, told)?;
        copies.counters.hits.bump();
        Some(value)
    }

    fn take_lost(&self, lease: LeaseId) -> bool {
        self.0.take_lost(lease)
    }

    fn as_of(&self, address: &Address) -> Option<AsOf> {
        Some(self.0.as_of(address))
    }

    fn keep_unverified(&self, address: &Address, entry: NewEntry, as_of: AsOf) -> bool {
        self.0.insert_unverified(address, entry, as_of)
    }

    fn keep_decoded(&self, parts: &Parts<'_>, entry: &Entry, value: Arc<dyn Any + Send + Sync>, weight: usize) {
        self.0.keep_decoded(parts, entry, value, weight);
    }

    fn explain(&self, parts: &Parts<'_>, scope: &Scope, now: Tick) -> Option<TierReport> {
        self.0.explain(parts, scope, now)
    }
}
