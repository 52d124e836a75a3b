//! Copies of what this node owns, kept by others: of each key as many as the keyspace's `replicas` says, less one.
//!
//! Who keeps them is said by the placement: those who come next in rank for the key's partition. The owner brings each of them
//! to what it holds itself, one push at a time, so that none overtakes another; what is pushed is the state of a key when it is
//! sent, not what happened to it. A write is acknowledged when each has confirmed a push that began after it, or is gone from the
//! members and answers from its copy no more. A member that may keep a copy by an older list of members, and has not agreed to the
//! new one yet, is told to drop it before a write is acknowledged: so none that becomes the owner later has what was written over
//! or removed.

mod copies;
mod late;
mod promote;
mod push;

use std::{collections::HashMap, fmt, sync::Arc, sync::atomic::AtomicU64};

use memstache_core::{Address, Error, ErrorKind, KeyspaceName, OneOrMany, Request, Response, Result, Tick};
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub(super) use self::late::{is_late, wait_out};
pub(crate) use self::{copies::Copies, promote::promote};
use super::Local;
use crate::{
    engine::{Node, Slot, cut_off, until},
    member::NodeId,
    placement::partition_of,
    reader::{Cluster, View},
};

/// Most keys that wait for one member.
const MOST_WAITING: usize = 65_536;
/// Keys that are pushed anew at a time when members change.
const ANEW_AT_A_TIME: usize = 128;
/// Most keys of a keyspace that are pushed anew when members change.
const MOST_ANEW: usize = 65_536;

/// What waits to be pushed, by keyspace and member; there is an entry while there are pushes.
#[derive(Default)]
pub(crate) struct Replication {
    queues: Mutex<HashMap<(KeyspaceName, NodeId), Queue>>,
    /// Numbers pushes: a late one is told from the last.
    stamp: AtomicU64,
}

type Queue = Vec<(Address, Option<oneshot::Sender<Result<()>>>)>;

impl Replication {
    /// Waits until all who keep a copy of a key, or may, have what is held here now.
    ///
    /// # Cancellation
    /// A push that was begun goes on.
    async fn confirm(
        &self,
        node: &Arc<Node>,
        slot: &Arc<Slot>,
        view: &View,
        address: &Address,
        deadline: Tick,
    ) -> Result<()> {
        let local = slot.current()?;
        let mut waits = Vec::new();
        for member in keepers(view, &local, address.stored()) {
            let (ended, wait) = oneshot::channel();
            self.enqueue(node, slot, member, address.clone(), Some(ended))?;
            waits.push(wait);
        }
        for wait in waits {
            // Its sender is dropped with the node.
            let ended = until(&node.clock, deadline, wait).await;
            ended.and_then(Result::ok).unwrap_or_else(|| Err(cut_off(false)))?;
        }
        Ok(())
    }

    /// Has a key be pushed; nobody waits for it.
    fn spread(&self, node: &Arc<Node>, slot: &Arc<Slot>, view: &View, local: &Local, address: &Address) {
        for member in keepers(view, local, address.stored()) {
            // Where too many wait, the copy is made when the key is next loaded or written.
            let _ = self.enqueue(node, slot, member, address.clone(), None);
        }
    }

    fn enqueue(
        &self,
        node: &Arc<Node>,
        slot: &Arc<Slot>,
        member: NodeId,
        address: Address,
        ended: Option<oneshot::Sender<Result<()>>>,
    ) -> Result<()> {
        let key = (slot.name.clone(), member);
        let mut queues = self.queues.lock();
        let begins = !queues.contains_key(&key);
        let queue = queues.entry(key).or_default();
        if queue.len() >= MOST_WAITING {
            // The write happened here, and may be seen.
            return Err(Error::new(
                ErrorKind::Unknown,
                "too many keys wait for a replica; the write is not on all of them",
            ));
        }
        queue.push((address, ended));
        drop(queues);
        if begins {
            node.spawn(push::run(Arc::downgrade(node), Arc::clone(slot), member));
        }
        Ok(())
    }

    /// Takes what waits for a member; without any, there are no more pushes.
    fn next(&self, keyspace: &KeyspaceName, member: NodeId) -> Option<Queue> {
        let key = (keyspace.clone(), member);
        let mut queues = self.queues.lock();
        let queue = std::mem::take(queues.get_mut(&key)?);
        if queue.is_empty() {
            queues.remove(&key);
            return None;
        }
        Some(queue)
    }
}

/// Who keeps a copy of a key, and who may by an older list of members.
fn keepers(view: &View, local: &Local, stored: &[u8]) -> Vec<NodeId> {
    let (partition, replicas) = (partition_of(stored), local.replicas());
    let mut keepers: Vec<NodeId> = view.table.ranked(partition, replicas).into_iter().skip(1).collect();
    view.left_behind(partition, replicas, &mut keepers);
    keepers
}

/// Waits until the replicas of what a request has written have confirmed it; what is not confirmed in time has failed.
pub(super) async fn confirm(
    node: &Arc<Node>,
    cluster: &Cluster,
    slot: &Arc<Slot>,
    view: &View,
    written: &[Address],
    response: Response,
    deadline: Tick,
) -> Response {
    #[cfg(any(test, feature = "test-util"))]
    if cluster.timing.faults == crate::Faults::ForgetReplicas && matches!(response, Response::Removed(_)) {
        return response;
    }
    let confirms = written.iter().map(|address| cluster.replication.confirm(node, slot, view, address, deadline));
    let confirmed = futures_util::future::join_all(confirms).await;
    unless_all(response, confirmed)
}

/// Has the items fail that were not confirmed.
fn unless_all(response: Response, confirmed: Vec<Result<()>>) -> Response {
    match response {
        Response::Stored(items) => Response::Stored(unless_failed(items, confirmed)),
        Response::Removed(items) => Response::Removed(unless_failed(items, confirmed)),
        other => other,
    }
}

fn unless_failed<T>(items: OneOrMany<Result<T>>, confirmed: Vec<Result<()>>) -> OneOrMany<Result<T>> {
    let mut confirmed = confirmed.into_iter();
    items.map(|item| {
        let confirmed = confirmed.next().unwrap_or(Ok(()));
        item.and_then(|item| confirmed.map(|()| item))
    })
}

/// Returns what a request writes whose replicas are to confirm.
pub(super) fn written(local: &Local, request: &Request) -> Vec<Address> {
    match request {
        Request::Set(_) | Request::Remove(_) if local.replica.is_some() => request.addresses().cloned().collect(),
        _ => Vec::new(),
    }
}

/// Has what was loaded here since the last time be pushed to replicas.
pub(super) fn spread_loaded(node: &Arc<Node>, cluster: &Cluster, slot: &Arc<Slot>, view: &View) {
    let Ok(local) = slot.current() else { return };
    for address in local.loaded_since() {
        cluster.replication.spread(node, slot, view, &local, &address);
    }
}

/// Pushes what is held to those who keep copies of it since the members changed, some at a time.
pub(crate) async fn push_anew(node: &Arc<Node>, cluster: &Cluster, old: &View, view: &Arc<View>) {
    for local in node.registry.all().into_iter().filter(|local| local.replica.is_some()) {
        let Ok(slot) = node.registry.slot(local.spec.name().as_str()) else { continue };
        let replicas = local.replicas();
        let moved = |stored: &[u8]| {
            let partition = partition_of(stored);
            view.owns(stored) && old.table.ranked(partition, replicas) != view.table.ranked(partition, replicas)
        };
        for keys in local.store.addresses(moved, MOST_ANEW).chunks(ANEW_AT_A_TIME) {
            let deadline = cluster.clock.now().after(node.times.write);
            let pushed = keys.iter().map(|key| cluster.replication.confirm(node, &slot, view, key, deadline));
            // Whoever did not confirm has no copy: the key is loaded when its owner is lost.
            drop(futures_util::future::join_all(pushed).await);
            if !cluster.sees(view) {
                return;
            }
        }
    }
}

impl fmt::Debug for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replication").field("queues", &self.queues.lock().len()).finish_non_exhaustive()
    }
}
