//! What a change of the members sets going.

use std::sync::{Arc, Weak};

use memstache_core::Tick;
use tokio::{sync::watch, task::JoinSet};

use super::{Cluster, View, view::Taking};
use crate::{
    engine::{EngineEvent, Node, until},
    member::{Member, MemberChange, Members},
    placement::partition_of,
    registry,
    wire::{Answer, Call},
};

/// How often a new owner asks a previous one again that sees the members differently.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(50);

/// Follows the members until the engine or the membership is gone.
pub(crate) async fn follow(node: Weak<Node>, mut members: watch::Receiver<Members>) {
    loop {
        let now = members.borrow_and_update().clone();
        {
            let Some(node) = node.upgrade() else { return };
            adopt(&node, now);
        }
        if members.changed().await.is_err() {
            return;
        }
    }
}

/// Goes over to other members.
pub(crate) fn adopt(node: &Arc<Node>, members: Members) {
    let Some(cluster) = node.cluster() else { return };
    let old = cluster.view();
    if old.members == members {
        return;
    }
    let changes = members.changes_since(&old.members);
    let (view, new) = old.follow(members, &cluster.clock, cluster.timing.window);
    let view = Arc::new(view);
    let locals = node.registry.all();
    if !new.is_empty() {
        // Before it is served: what is left of an earlier time may be outdated.
        for local in &locals {
            local.store.retain(|stored| !view.gained(&new, stored));
        }
    }
    cluster.adopt(Arc::clone(&view));
    let live = view.live();
    locals.iter().for_each(|local| local.shared_by(live));
    let joined = |change: &MemberChange| match change {
        MemberChange::Joined(member) if member.id != cluster.me => Some(member.clone()),
        _ => None,
    };
    let came: Vec<Member> = changes.iter().filter_map(joined).collect();
    if !came.is_empty() {
        node.spawn(registry::meet(Arc::downgrade(node), came));
    }
    for change in changes {
        node.events.tell(&match change {
            MemberChange::Joined(member) => EngineEvent::PeerJoined(member),
            MemberChange::Left(member) => EngineEvent::PeerLeft(member),
            MemberChange::Changed { now, .. } => EngineEvent::PeerUpdated(now),
        });
    }
    if !new.is_empty() {
        node.spawn(take_over(Arc::downgrade(node), Arc::clone(&view), new));
    }
    node.spawn(let_go(Arc::downgrade(node), view));
    super::warm::begin(node);
}

/// Tells the others that this node owns what it gained, before it answers for it.
///
/// Who agrees acknowledges no more writes by an older view. Who cannot be asked is waited out.
async fn take_over(node: Weak<Node>, view: Arc<View>, new: Vec<Arc<Taking>>) {
    let Some(strong) = node.upgrade() else { return };
    let Some(cluster) = strong.cluster().cloned() else { return };
    drop(strong);
    #[cfg(any(test, feature = "test-util"))]
    if cluster.timing.faults == crate::Faults::AcknowledgeEarly {
        new.iter().for_each(|taking| taking.confirm());
    }
    let started = cluster.clock.now();
    let mut asked = JoinSet::new();
    for member in view.others().cloned() {
        asked.spawn(agreed(Arc::clone(&cluster), Arc::clone(&view), member, started));
    }
    while let Some(agreed) = asked.join_next().await {
        if agreed.is_err() {
            return;
        }
    }
    if let Some(node) = node.upgrade() {
        raise_sequences(&node, &cluster, &view).await;
    }
    new.iter().for_each(|taking| taking.confirm());
}

/// Waits until a member sees the same members, is gone from them, or is waited out.
async fn agreed(cluster: Arc<Cluster>, view: Arc<View>, member: Member, started: Tick) {
    let (unheard, differing) = (started.after(cluster.timing.lease), started.after(cluster.timing.suspicion));
    loop {
        let give_up = match cluster.agrees(&view, &member, unheard.max(cluster.clock.now().after(AGAIN))).await {
            Ok(true) => return,
            Ok(false) => differing,
            Err(_) => unheard,
        };
        let now = cluster.clock.now();
        if now >= give_up || !cluster.sees(&view) && !cluster.view().members.contains(member.id) {
            return;
        }
        cluster.clock.sleep_until(now.after(AGAIN).min(give_up)).await;
    }
}

/// Goes on from the others' sequences: entries of this node are then not taken for older than they are.
async fn raise_sequences(node: &Node, cluster: &Cluster, view: &View) {
    let deadline = cluster.clock.now().after(cluster.timing.lease);
    for local in node.registry.all() {
        let space = memstache_core::Space::new(None, local.spec.name());
        for member in view.others() {
            let call = Call::Sequences { keyspace: local.spec.name().clone(), spaces: vec![space.clone()] };
            let answer = until(&cluster.clock, deadline, cluster.call(member, call, deadline)).await;
            if let Some(Ok(Answer::Sequences(sequences))) = answer {
                sequences.into_iter().for_each(|sequence| local.store.raise_sequence(sequence));
            }
        }
    }
}

/// Lets go of what others own, once they have had time to ask for it.
async fn let_go(node: Weak<Node>, view: Arc<View>) {
    view.settled().await;
    let (clock, window) = {
        let Some(node) = node.upgrade() else { return };
        let Some(cluster) = node.cluster() else { return };
        (Arc::clone(&cluster.clock), cluster.timing.window)
    };
    clock.sleep_until(clock.now().after(window)).await;
    let Some(node) = node.upgrade() else { return };
    let Some(cluster) = node.cluster().filter(|cluster| cluster.sees(&view)) else { return };
    let me = cluster.me;
    for local in node.registry.all() {
        local.store.retain(|stored| view.table.owns(me, partition_of(stored)));
        tokio::task::yield_now().await;
    }
}
