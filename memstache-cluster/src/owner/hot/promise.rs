//! Letting a node keep what it reads.

use std::{sync::Arc, time::Duration};

use memstache_core::{Consistency, Get, Lookup, Meta, Response, Sequence, Tick};

use super::Hot;
use crate::{
    keyspace::HotCopies,
    member::NodeId,
    owner::Local,
    reader::{Cluster, View},
    wire::{Hot as HotItem, Promise},
};

/// How much longer than the reader the owner counts a lease: clocks do not run equally fast.
const DRIFT: u32 = 100;
/// What slides must slide for so many leases at least: its owner hears of reads once a lease.
const SLIDES: u32 = 10;

/// Which items of a read its reader may keep, once they are read.
///
/// The reader is noted before the read: a write that comes after it tells the reader, and one that came before is what is read.
pub(crate) struct Promises {
    items: Vec<usize>,
    view: Arc<View>,
    lease: Duration,
    sequence: Sequence,
}

impl Local {
    /// Counts the reads of a peer, and notes it as a holder of what is hot.
    pub(crate) fn promise(&self, op: &Get, to: NodeId, cluster: &Cluster) -> Option<Promises> {
        let Some(settings) = self.hot_copies.filter(|_| op.scope.consistency != Consistency::Authority) else {
            self.hot.reads.count(op.items.iter().map(|item| &item.address));
            return None;
        };
        let mut items = Vec::new();
        let mut view = None;
        for (place, item) in op.items.iter().enumerate() {
            let Some(rate) = self.hot.reads.judge(&item.address) else { continue };
            let view = view.get_or_insert_with(|| cluster.view());
            // One that this node has left out is told of no invalidation.
            if !view.members.contains(to) {
                continue;
            }
            let most = settings.copies(rate).min(view.members.len().saturating_sub(1));
            if most > 0 && view.owns(item.address.stored()) && self.hot.grant(&settings, op, place, to, most) {
                items.push(place);
            }
        }
        let view = view.filter(|_| !items.is_empty())?;
        // Before the read: whatever is hidden under a lower number is not what is read.
        Some(Promises { items, view, lease: settings.lease(), sequence: self.sequence() })
    }
}

impl Hot {
    fn grant(&self, settings: &HotCopies, op: &Get, place: usize, to: NodeId, most: usize) -> bool {
        let now = self.clock.now();
        let until = now.after(settings.lease() + settings.lease() / DRIFT);
        self.holders.grant(&op.items.as_slice()[place].address, to, most, until, now)
    }
}

impl Promises {
    /// Returns what the reader may keep of the answer; nothing, if the keys may be another's by now.
    pub(crate) fn of(self, response: &Response, cluster: &Cluster) -> Vec<HotItem> {
        let Response::Found(found) = response else { return Vec::new() };
        if !cluster.sees(&self.view) {
            return Vec::new();
        }
        let now = cluster.clock.now();
        let found = found.as_slice();
        let kept =
            |place: &usize| matches!(found.get(*place), Some(Ok(lookup)) if may_be_kept(lookup, self.lease, now));
        let promise = Promise { lease: self.lease, sequence: self.sequence };
        let hot = |place: usize| Some(HotItem { item: u32::try_from(place).ok()?, promise });
        self.items.into_iter().filter(kept).filter_map(hot).collect()
    }
}

fn may_be_kept(lookup: &Lookup, lease: Duration, now: Tick) -> bool {
    let fresh = |meta: &Meta| meta.fresh_until > now && meta.sliding.is_none_or(|window| window >= lease * SLIDES);
    match lookup {
        Lookup::Hit(entry) => fresh(&entry.meta),
        Lookup::Negative(meta) => fresh(meta),
        _ => false,
    }
}
