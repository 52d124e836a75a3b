//! Reading from a replica: when the owner does not answer, or not as soon as owners mostly do.

use std::sync::Arc;

use futures_util::future::join_all;
use memstache_core::{Address, Entry, GetItem, OneOrMany, Tick};

use super::{Cluster, View};
use crate::{
    engine::until,
    member::NodeId,
    owner::Local,
    placement::partition_of,
    wire::{Answer, Call},
};

/// Returns whether a read can be answered by copies.
pub(super) fn answers(local: &Local, items: &OneOrMany<GetItem>) -> bool {
    local.replica.is_some() && items.iter().all(|item| item.unless.is_none())
}

/// Asks the replicas of keys for their copies, in the order of their rank, as far as they are missing still.
///
/// An owner acknowledges no write before its replicas have it, so a copy is never older than the last acknowledged write; a
/// replica that was cut off or sees other members than this node does not answer.
pub(super) async fn ask(
    cluster: &Cluster,
    local: &Local,
    view: &Arc<View>,
    keys: &[Address],
    deadline: Tick,
) -> Vec<Option<Entry>> {
    let mut found: Vec<Option<Entry>> = vec![None; keys.len()];
    for rank in 1..local.replicas() {
        let missing = (0..keys.len()).filter(|place| found[*place].is_none());
        let groups = by_replica(view, local, keys, missing, rank);
        if groups.is_empty() {
            break;
        }
        // As long for each as for all who come after it.
        let now = cluster.clock.now();
        let limit = now.after(deadline.since(now) / 2);
        let asked = groups.into_iter().map(|(replica, places)| async move {
            let items: Vec<Address> = places.iter().map(|place| keys[*place].clone()).collect();
            (places, ask_one(cluster, local, view, replica, items, limit).await)
        });
        for (places, entries) in join_all(asked).await {
            places.into_iter().zip(entries).for_each(|(place, entry)| found[place] = entry);
        }
    }
    found
}

fn by_replica(
    view: &View,
    local: &Local,
    keys: &[Address],
    places: impl Iterator<Item = usize>,
    rank: usize,
) -> Vec<(NodeId, Vec<usize>)> {
    let mut groups: Vec<(NodeId, Vec<usize>)> = Vec::new();
    for place in places {
        let ranked = view.table.ranked(partition_of(keys[place].stored()), local.replicas());
        let Some(replica) = ranked.get(rank) else { continue };
        match groups.iter_mut().find(|(id, _)| id == replica) {
            Some((_, group)) => group.push(place),
            None => groups.push((*replica, vec![place])),
        }
    }
    groups
}

async fn ask_one(
    cluster: &Cluster,
    local: &Local,
    view: &Arc<View>,
    replica: NodeId,
    keys: Vec<Address>,
    limit: Tick,
) -> Vec<Option<Entry>> {
    let count = keys.len();
    let items: OneOrMany<Address> = keys.into_iter().collect();
    if replica == cluster.me {
        let own = cluster.copies(local, view, items, limit).await;
        return own.map_or_else(|| vec![None; count], |own| own.into_iter().collect());
    }
    let Some(member) = view.members.get(replica) else { return vec![None; count] };
    let call = Call::Copies { keyspace: local.spec.name().clone(), items };
    match until(&cluster.clock, limit, cluster.call(member, call, limit)).await {
        Some(Ok(Answer::Peeked(items))) if items.len() == count => items.into_iter().collect(),
        _ => vec![None; count],
    }
}

impl Cluster {
    /// Returns the copies of keys that this node keeps by `view`; none if that is not what is seen now, or if this node was cut
    /// off and may have missed something.
    pub(crate) async fn copies(
        &self,
        local: &Local,
        view: &Arc<View>,
        items: OneOrMany<Address>,
        deadline: Tick,
    ) -> Option<OneOrMany<Option<Entry>>> {
        let copies = local.replica.as_ref()?;
        self.vouch(view, deadline).await.ok()?;
        if self.has_lapsed(view) {
            return None;
        }
        let held = copies.read(view, self.me, items, local.replicas()).await;
        self.sees(view).then_some(held)
    }
}
