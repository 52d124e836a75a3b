//! Going from a copy to the entry itself, when its owner is lost.

use std::sync::Arc;

use memstache_core::{Address, Get, GetItem, Lookup, OnMiss, OneOrMany, Scope, Store as _};

use super::super::{Local, handover::fill};
use crate::reader::{Taking, View};

/// Keys that go at a time.
const AT_A_TIME: usize = 256;

/// Makes the copies of what lost owners owned this node's own, before it answers for it; if the members do not all agree that it
/// is, they are dropped: a write may have been acknowledged that this node knows nothing of.
pub(crate) async fn promote(local: &Local, view: &View, new: &[Arc<Taking>], all_agree: bool) {
    let Some(copies) = &local.copies else { return };
    let lost: Vec<Arc<Taking>> = new.iter().filter(|taking| taking.from.is_none()).cloned().collect();
    let is_lost = |stored: &[u8]| view.gained(&lost, stored);
    if all_agree && !lost.is_empty() {
        for keys in copies.store.addresses(is_lost, usize::MAX).chunks(AT_A_TIME) {
            take_in(local, keys).await;
            tokio::task::yield_now().await;
        }
    }
    copies.store.retain(|stored| !view.gained(new, stored));
}

async fn take_in(local: &Local, keys: &[Address]) {
    let Some(copies) = &local.copies else { return };
    let items = || keys.iter().cloned().map(GetItem::from).collect::<OneOrMany<_>>();
    let get = |on_miss| Get { items: items(), on_miss, scope: Scope::default() };
    // The lease first: an invalidation that comes now hides the copy or ends the lease.
    let Ok(leased) = local.store.get(get(OnMiss::Lease)).await else { return };
    let Ok(held) = copies.store.get(get(OnMiss::Report)).await else { return };
    let found = keys.iter().cloned().zip(leased).zip(held);
    let filled = found.filter_map(|((address, leased), held)| match leased {
        Ok(Lookup::Leased(lease)) => {
            let entry = match held {
                Ok(Lookup::Hit(entry)) => Some(entry),
                _ => None,
            };
            Some((address, lease, entry))
        }
        _ => None,
    });
    fill(local, filled.collect()).await;
}
