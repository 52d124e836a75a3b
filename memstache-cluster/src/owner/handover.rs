//! Taking over what a previous owner holds: brought here before it is read, dropped there before it is written.

use std::sync::Arc;

use memstache_core::{
    Address, Entry, ErrorKind, Get, GetItem, Lease, Lifetime, Lookup, NewEntry, OnMiss, OneOrMany, Request, Result,
    Scope, Sequence, Set, SetItem, Store as _, Tick, Touch, TouchItem, TouchKind, When,
};

use super::{Local, serve::Open};
use crate::{
    engine::{Slot, until},
    member::Member,
    reader::{Cluster, Taking},
    wire::{Answer, Call},
};

/// Makes ready what a request is about.
pub(super) async fn prepare(
    cluster: &Arc<Cluster>,
    slot: &Arc<Slot>,
    request: &Request,
    taken: Vec<(Option<Address>, Arc<Taking>)>,
    deadline: Tick,
) -> Result<()> {
    let now = cluster.clock.now();
    let is_open = |(address, taking): (Option<Address>, Arc<Taking>)| {
        let open = taking.source(now).is_some();
        address.filter(|_| open).map(|address| (address, taking))
    };
    let open: Open = taken.into_iter().filter_map(is_open).collect();
    if open.is_empty() {
        return Ok(());
    }
    let local = slot.current()?;
    if asks_what_is_there(request) {
        // Most of what is read a moment after a change of the members is here.
        let missing = missing(&local, &open).await;
        if !missing.is_empty() {
            // A task of its own: a caller who leaves leaves no lease behind.
            let (cluster, local) = (Arc::clone(cluster), Arc::clone(&local));
            let brought = tokio::spawn(async move { bring(&cluster, &local, missing, deadline).await });
            // A panic in it is nobody's loss: the leases age out.
            drop(brought.await);
        }
    }
    if !request.is_read() {
        drop_there(cluster, &local, open, deadline).await;
    }
    Ok(())
}

/// Whether the answer depends on what is held.
fn asks_what_is_there(request: &Request) -> bool {
    match request {
        Request::Set(op) => op.items.iter().any(|item| !matches!(item.when, When::Always | When::IfLease(_))),
        Request::Remove(_) | Request::Invalidate(_) => false,
        _ => true,
    }
}

/// What of these is not held here.
async fn missing(local: &Local, open: &Open) -> Open {
    let held = local.peek(open.iter().map(|(address, _)| address.clone()).collect()).await;
    open.iter().zip(held).filter(|(_, held)| held.is_none()).map(|(open, _)| open.clone()).collect()
}

/// The keys of one previous owner.
struct Group<T> {
    from: Member,
    taking: Arc<Taking>,
    keys: Vec<T>,
}

fn by_owner<T>(keys: impl IntoIterator<Item = (T, Arc<Taking>)>, now: Tick) -> Vec<Group<T>> {
    let mut groups: Vec<Group<T>> = Vec::new();
    for (key, taking) in keys {
        let Some(from) = taking.source(now).cloned() else { continue };
        // A few owners: looked through, not hashed.
        match groups.iter_mut().find(|group| Arc::ptr_eq(&group.taking, &taking)) {
            Some(group) => group.keys.push(key),
            None => groups.push(Group { from, taking, keys: vec![key] }),
        }
    }
    groups
}

/// Brings what previous owners hold and this node does not, under leases: what is written meanwhile wins.
async fn bring(cluster: &Cluster, local: &Local, open: Open, deadline: Tick) {
    let items: OneOrMany<GetItem> = open.iter().map(|(address, _)| address.clone().into()).collect();
    let get = Get { items, on_miss: OnMiss::Lease, scope: Scope::default() };
    let Ok(found) = local.store.get(get).await else { return };
    let leased = open.into_iter().zip(found).filter_map(|((address, taking), found)| match found {
        Ok(Lookup::Leased(lease) | Lookup::Stale(_, Some(lease))) => Some(((address, lease), taking)),
        _ => None,
    });
    // Another key may have found meanwhile that the previous owner does not answer: nobody is to wait for this lease then.
    let now = cluster.clock.now();
    let (open, closed): (Vec<_>, Vec<_>) = leased.partition(|(_, taking)| taking.source(now).is_some());
    let unasked = closed.into_iter().map(|((address, lease), _)| (address, lease, None)).collect();
    fill(local, unasked).await;
    for group in by_owner(open, now) {
        bring_from(cluster, local, group, deadline).await;
    }
}

async fn bring_from(cluster: &Cluster, local: &Local, group: Group<(Address, Lease)>, deadline: Tick) {
    let Group { from, taking, keys } = group;
    let until_tick = deadline.min(cluster.clock.now().after(cluster.timing.lease));
    let mut held = peek(cluster, local, &from, &keys, until_tick).await.unwrap_or_else(|| {
        // It is not asked for each key anew.
        taking.close();
        Vec::new()
    });
    held.resize(keys.len(), None);
    // One that does not know of all invalidations which this node knew when the lease was granted may be hidden by one.
    let knows_all = |lease: &Lease, entry: &Entry| entry.meta.sequence >= lease.sequence;
    let found = keys.into_iter().zip(held);
    fill(
        local,
        found
            .map(|((address, lease), entry)| {
                let entry = entry.filter(|entry| knows_all(&lease, entry));
                (address, lease, entry)
            })
            .collect(),
    )
    .await;
}

/// Asks a previous owner what it holds of keys: of all at once, and in pieces if that does not fit a frame. `None` if it cannot be
/// asked.
async fn peek(
    cluster: &Cluster,
    local: &Local,
    from: &Member,
    keys: &[(Address, Lease)],
    until_tick: Tick,
) -> Option<Vec<Option<Entry>>> {
    let (mut open, mut held) = (vec![keys], Vec::with_capacity(keys.len()));
    while let Some(keys) = open.pop() {
        let items = keys.iter().map(|(address, _)| address.clone()).collect();
        let call = Call::Peek { keyspace: local.spec.name().clone(), items };
        match until(&cluster.clock, until_tick, cluster.call(from, call, until_tick)).await? {
            Ok(Answer::Peeked(items)) if items.len() == keys.len() => held.extend(items),
            Ok(Answer::NoKeyspace) => held.resize(held.len() + keys.len(), None),
            Ok(Answer::Failed(error)) | Err(error) if error.kind() == ErrorKind::TooLarge => {
                let (first, rest) = keys.split_at(keys.len() / 2);
                if first.is_empty() {
                    held.push(None);
                } else {
                    open.extend([rest, first]);
                }
            }
            _ => return None,
        }
    }
    Some(held)
}

/// Stores what was found of keys under their leases, and gives back the leases of what was not.
pub(super) async fn fill(local: &Local, found: Vec<(Address, Lease, Option<Entry>)>) {
    let now = local.clock.now();
    let (mut fills, mut releases) = (Vec::new(), Vec::new());
    for (address, lease, entry) in found {
        match entry.and_then(|entry| anew(entry, now)) {
            Some(entry) => fills.push(SetItem { address, entry, when: When::IfLease(lease.id) }),
            None => releases.push(TouchItem { address, kind: TouchKind::Release(lease.id) }),
        }
    }
    if !fills.is_empty() {
        let _ = local.store.set(Set { items: OneOrMany::Many(fills), scope: Scope::default() }).await;
    }
    if !releases.is_empty() {
        let _ = local.store.touch(Touch { items: OneOrMany::Many(releases), scope: Scope::default() }).await;
    }
}

/// Makes a held entry one to be stored, with what is left of its life; `None` if that is over.
pub(super) fn anew(entry: Entry, now: Tick) -> Option<NewEntry> {
    let Entry { value, meta } = entry;
    if meta.fresh_until <= now {
        return None;
    }
    let mut lifetime = Lifetime::UNLIMITED;
    if meta.hard_until != Tick::NEVER {
        lifetime = lifetime.with_ttl(meta.hard_until.since(now)).ok()?;
    }
    if let Some(window) = meta.sliding {
        let window = lifetime.ttl().map_or(window, |ttl| window.min(ttl));
        lifetime = lifetime.with_sliding(window).ok()?;
    }
    lifetime = lifetime.with_stale_for(meta.stale_for).ok()?;
    let mut new = NewEntry::new(value, lifetime).with_tags(meta.tags);
    (new.content, new.load_cost) = (meta.content, meta.load_cost);
    Some(new)
}

/// Has previous owners drop keys; one that does not confirm is not asked for anything any more.
async fn drop_there(cluster: &Cluster, local: &Local, open: Open, deadline: Tick) {
    let groups = by_owner(open, cluster.clock.now());
    let drops = groups.into_iter().map(|Group { from, taking, keys }| async move {
        let until_tick = deadline.min(cluster.clock.now().after(cluster.timing.lease));
        let call = Call::Revoke { keyspace: local.spec.name().clone(), items: keys.into_iter().collect() };
        match until(&cluster.clock, until_tick, cluster.call(&from, call, until_tick)).await {
            Some(Ok(Answer::Done | Answer::NoKeyspace)) => {}
            _ => taking.close(),
        }
    });
    futures_util::future::join_all(drops).await;
}

impl Local {
    /// Returns what is held of keys, as it is stored; nothing is loaded, nothing is leased.
    ///
    /// The sequence of each is the last one that it is known not to be hidden by.
    pub(crate) async fn peek(&self, items: OneOrMany<Address>) -> OneOrMany<Option<Entry>> {
        let (count, sequence) = (items.len(), self.store.sequence());
        let get = Get { items: items.map(GetItem::from), on_miss: OnMiss::Report, scope: Scope::default() };
        match self.store.get(get).await {
            Ok(found) => found.map(|found| match found {
                Ok(Lookup::Hit(mut entry)) => {
                    entry.meta.sequence = entry.meta.sequence.max(sequence);
                    Some(entry)
                }
                _ => None,
            }),
            Err(_) => OneOrMany::Many(vec![None; count]),
        }
    }

    /// Drops keys, and ends the leases on them.
    pub(super) async fn drop_held(&self, items: OneOrMany<Address>) {
        let remove = memstache_core::Remove { items, scope: Scope::default() };
        // A memory store removes whatever it is given.
        let _ = self.store.remove(remove).await;
    }

    /// Returns the sequence under which entries are written now.
    pub(super) fn sequence(&self) -> Sequence {
        self.store.sequence()
    }
}
