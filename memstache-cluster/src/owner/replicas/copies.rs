//! What this node keeps for owners.

use std::collections::HashMap;

use futures_util::FutureExt as _;
use memstache_core::{
    Address, AnyPolicy, Entry, Get, GetItem, Lookup, MemoryStore, OnMiss, OneOrMany, Remove, Scope, Sequence, Set,
    SetItem, Store as _, Target, Tick, Touch, TouchItem, TouchKind, When,
};
use parking_lot::{Mutex, MutexGuard};

use super::super::handover::anew;
use crate::{
    member::{Incarnation, Member, NodeId},
    placement::partition_of,
    reader::{Cluster, View},
    wire::PeerInfo,
};

/// The last push of each owner, in its life: what comes late is told by it.
pub(crate) type Stamps = HashMap<NodeId, (Incarnation, u64)>;

/// Copies that this node keeps for owners, apart from what it owns.
#[derive(Debug)]
pub(crate) struct Copies {
    pub(crate) store: MemoryStore<AnyPolicy>,
    /// Held while copies are taken in, and while the members change: what is taken in is of one view.
    stamps: Mutex<Stamps>,
}

impl Copies {
    pub(crate) fn new(store: MemoryStore<AnyPolicy>) -> Self {
        Self { store, stamps: Mutex::default() }
    }

    /// Lets no copies in until the guard is dropped.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Stamps> {
        self.stamps.lock()
    }

    /// Takes over what an owner says about keys, unless it is late. Returns whether owner and replica see the same members; if
    /// not, the keys are dropped.
    pub(crate) fn take(
        &self,
        cluster: &Cluster,
        (from, epoch, stamp): (&PeerInfo, u64, u64),
        items: Vec<(Address, Option<Entry>)>,
        replicas: usize,
    ) -> bool {
        let mut stamps = self.stamps.lock();
        let view = cluster.view();
        let agrees = view.epoch == epoch;
        let last = stamps.entry(from.id).or_default();
        if (from.incarnation, stamp) <= *last {
            // A later one said more.
            return agrees;
        }
        *last = (from.incarnation, stamp);
        let keeps = |address: &Address| {
            let ranked = view.table.ranked(partition_of(address.stored()), replicas);
            agrees && ranked.first() == Some(&from.id) && ranked[1..].contains(&cluster.me)
        };
        for (address, entry) in items {
            self.drop_one(address.clone());
            if let Some(entry) = entry.filter(|_| keeps(&address)) {
                self.keep(address, entry, cluster.clock.now());
            }
        }
        agrees
    }

    fn drop_one(&self, address: Address) {
        // A memory store answers at once.
        drop(self.store.remove(Remove { items: OneOrMany::One(address), scope: Scope::default() }).now_or_never());
    }

    /// Keeps one entry, unless an invalidation is known that its owner did not know when it sent it.
    fn keep(&self, address: Address, entry: Entry, now: Tick) {
        let items = OneOrMany::One(GetItem::from(address.clone()));
        let get = Get { items, on_miss: OnMiss::Lease, scope: Scope::default() };
        let found = self.store.get(get).now_or_never().and_then(Result::ok).and_then(OneOrMany::into_one);
        let Some(Ok(Lookup::Leased(lease))) = found else { return };
        let knows_all = entry.meta.sequence >= lease.sequence;
        match anew(entry, now).filter(|_| knows_all) {
            Some(entry) => {
                let items = OneOrMany::One(SetItem { address, entry, when: When::IfLease(lease.id) });
                drop(self.store.set(Set { items, scope: Scope::default() }).now_or_never());
            }
            None => {
                let items = OneOrMany::One(TouchItem { address, kind: TouchKind::Release(lease.id) });
                drop(self.store.touch(Touch { items, scope: Scope::default() }).now_or_never());
            }
        }
    }

    /// Returns the copies of keys that this node keeps by `view`.
    pub(crate) async fn read(
        &self,
        view: &View,
        me: NodeId,
        items: OneOrMany<Address>,
        replicas: usize,
    ) -> OneOrMany<Option<Entry>> {
        let keeps = |address: &Address| {
            let ranked = view.table.ranked(partition_of(address.stored()), replicas);
            ranked.iter().skip(1).any(|id| *id == me)
        };
        let kept: Vec<bool> = items.iter().map(keeps).collect();
        let mut kept = kept.into_iter();
        let get = Get { items: items.map(GetItem::from), on_miss: OnMiss::Report, scope: Scope::default() };
        let count = get.items.len();
        match self.store.get(get).await {
            Ok(found) => found.map(|found| match (kept.next(), found) {
                (Some(true), Ok(Lookup::Hit(entry))) => Some(entry),
                _ => None,
            }),
            Err(_) => OneOrMany::Many(vec![None; count]),
        }
    }

    /// Hides what a target covers. Numbers are this store's own where the given one is taken: a copy that is hidden too much is
    /// only missed.
    pub(crate) fn hide(&self, target: &Target, at: Sequence) {
        let mut at = at;
        while let Err(current) = self.store.invalidate_at(target, at) {
            at = Sequence(current.0 + 1);
        }
    }

    /// Hides everything, in the same way.
    pub(crate) fn clear(&self, at: Sequence) {
        let mut at = at;
        while let Err(current) = self.store.clear_at(at) {
            at = Sequence(current.0 + 1);
        }
    }

    /// Drops what is not kept any more when `view` follows `old`: only who was next to the same owner all the time has missed
    /// nothing.
    pub(crate) fn follow(&self, old: &View, view: &View, me: NodeId, replicas: usize, stamps: &mut Stamps) {
        stamps.retain(|id, _| view.members.contains(*id) || old.members.contains(*id));
        if !view.lives_on_from(old) {
            self.store.retain(|_| false);
            return;
        }
        let life = |view: &View, id: NodeId| view.members.get(id).map(Member::life);
        self.store.retain(|stored| {
            let partition = partition_of(stored);
            let (Some(before), Some(now)) = (old.table.owner(partition), view.table.owner(partition)) else {
                return false;
            };
            if now == me {
                // Its owner is lost, and this is what there is left of it.
                return !view.members.contains(before);
            }
            let same = before == now && life(old, before) == life(view, now);
            same && view.table.ranked(partition, replicas).contains(&me)
        });
    }
}
