//! What a change of the members sets going.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use memstache_core::Tick;
use tokio::{sync::watch, task::JoinSet};

use super::{Cluster, View, cluster::Agreement, lost::Held, splits::News, tables::Tables, view::Taking};
use crate::{
    engine::{EngineEvent, Node, until},
    member::{Incarnation, Member, MemberChange, Members, NodeId},
    owner::{Local, promote, push_anew},
    registry,
    wire::{Answer, Call, PeerInfo},
};

/// How long a new owner waits before it asks somebody again who did not agree.
const AGAIN: Duration = Duration::from_millis(50);
/// How long a member has to agree, if it can be reached at all.
const PATIENCE: Duration = Duration::from_millis(400);

/// Keyspaces of which a member is asked at once.
const AT_ONCE: usize = 64;

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
    let mut lost = cluster.lost.lock();
    let old = cluster.view();
    if old.members == members {
        return;
    }
    let lapses = cluster.lapses();
    let changes = members.changes_since(&old.members);
    let mut held = lost.note(&old.members, &members, &changes, cluster.me);
    // Nobody is left to ask what was missed; whoever sees no other is asked by nobody either.
    let now_alone = || !members.iter().any(|member| member.is_active() && member.id != cluster.me);
    if held == Held::Good && (lapses != old.lapses || cluster.may_be_left_out(now_alone())) {
        held = lost.note_lapse();
    }
    go_over(node, cluster, &old, (members, changes), held, lapses);
}

/// Takes anew all that this node owns, if nobody agreed with it for so long that others may have owned it.
pub(crate) fn retake(node: &Arc<Node>) {
    let Some(cluster) = node.cluster() else { return };
    if !cluster.has_lapsed(&cluster.view()) {
        return;
    }
    let lost = cluster.lost.lock();
    let (old, lapses) = (cluster.view(), cluster.lapses());
    // Another request may have done it.
    if old.lapses != lapses {
        go_over(node, cluster, &old, (old.members.clone(), Vec::new()), lost.note_lapse(), lapses);
    }
}

/// Takes anew all that this node owns, if a member came back from a split that it had not told of before. Returns whether it need not
/// tell again.
///
/// This node may have noticed nothing; what the other acknowledged meanwhile may be newer than what this one holds.
pub(crate) fn hear_of_splits(node: &Arc<Node>, from: &PeerInfo, splits: u64) -> bool {
    let Some(cluster) = node.cluster() else { return true };
    let now = cluster.clock.now();
    let news = || cluster.splits.hear(from.id, from.incarnation, splits, now, cluster.timing.lease);
    // Before the lock, which is held while a node goes over.
    if news() == News::Known {
        return true;
    }
    let _lost = cluster.lost.lock();
    let old = cluster.view();
    match news() {
        // Another call said it.
        News::Known => return true,
        _ if old.answers_for_nothing() => {}
        News::TooSoon => return false,
        News::New => go_over(node, cluster, &old, (old.members.clone(), Vec::new()), Held::Void, old.lapses),
    }
    // Not sooner: whoever finds it known is answered at once.
    cluster.splits.note(from.id, from.incarnation, splits, now, &old.members);
    true
}

fn go_over(
    node: &Arc<Node>,
    cluster: &Arc<Cluster>,
    old: &Arc<View>,
    (members, changes): (Members, Vec<MemberChange>),
    held: Held,
    lapses: u64,
) {
    let (mut view, new) = old.follow(members, &cluster.clock, cluster.timing.handover(), held);
    view.lapses = lapses;
    let view = Arc::new(view);
    let locals = node.registry.all();
    if held != Held::Good {
        // Before it is: a write that ends from now on may be kept nowhere.
        old.let_go();
    }
    if held.is_void() {
        // Nor does a request that began by the old view bring anything after that.
        old.close_takings();
        for local in &locals {
            // Not even to be handed over; copies first, which may be on their way to the entry itself.
            if let Some(copies) = &local.replica {
                copies.store.retain(|_| false);
            }
            local.store.retain(|_| false);
            local.copies.clear();
        }
    } else if !new.is_empty() {
        // Before it is served: what is left of an earlier time may be outdated.
        for local in &locals {
            local.store.retain(|stored| !view.gained(&new, stored));
        }
    }
    let gone = note_who_is_gone(cluster, old, &changes, locals.iter().any(|local| local.replica.is_some()));
    adopt_with_copies(cluster, &locals, old, &view, held);
    if held.is_void() {
        locals.iter().for_each(|local| local.changes.begin_anew());
    }
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
    let is_split = held == Held::Split;
    if is_split || !gone.is_empty() || !new.is_empty() || locals.iter().any(|local| local.replica.is_some()) {
        let change = Change { old: Arc::clone(old), view: Arc::clone(&view), new, gone, is_split };
        node.spawn(take_over(Arc::downgrade(node), change));
    }
    node.spawn(let_go(Arc::downgrade(node), Arc::clone(&view)));
    for local in &locals {
        local.herd.bound_until(cluster.clock.now().after(cluster.timing.window));
    }
    super::warming::on_change(node, old, &view);
}

/// Takes note of members that may answer still and do not know that they were left out; returns them.
fn note_who_is_gone(cluster: &Cluster, old: &View, changes: &[MemberChange], has_copies: bool) -> Vec<NodeId> {
    let without_a_word = |change: &MemberChange| match change {
        MemberChange::Left(member) if member.is_active() && member.id != cluster.me => Some(member.id),
        _ => None,
    };
    let gone: Vec<NodeId> = changes.iter().filter_map(without_a_word).collect();
    let (now, timing) = (cluster.clock.now(), cluster.timing);
    // That is how long others may see it still, and how long it answers after somebody agreed with it.
    let until = now.after(timing.suspicion + PATIENCE + timing.lease);
    if gone.is_empty() {
        return gone;
    }
    let tables = Arc::new(if has_copies { old.tables() } else { Tables::default() });
    gone.iter().for_each(|id| cluster.gone.note(*id, old.number + 1, Arc::clone(&tables), until, now));
    gone
}

/// Goes over to a view; copies that others pushed by another are let in before or not at all.
fn adopt_with_copies(cluster: &Cluster, locals: &[Arc<Local>], old: &View, view: &Arc<View>, held: Held) {
    let all = || locals.iter().filter_map(|local| local.replica.as_ref().map(|copies| (copies, local.replicas())));
    let mut locked = Vec::new();
    for (copies, replicas) in all() {
        let mut stamps = copies.lock();
        copies.follow(old, view, cluster.me, replicas, &mut stamps);
        if held != Held::Good {
            // What was pushed meanwhile was missed.
            copies.store.retain(|_| false);
        }
        locked.push(stamps);
    }
    cluster.adopt(Arc::clone(view));
}

/// What a change of the view sets going.
struct Change {
    old: Arc<View>,
    view: Arc<View>,
    /// What this node gained.
    new: Vec<Arc<Taking>>,
    /// Who left without a word.
    gone: Vec<NodeId>,
    /// Whether this node came back from a split.
    is_split: bool,
}

/// Tells the others that this node owns what it gained, before it answers for it.
///
/// Who agrees acknowledges no more writes by an older view. Who cannot be asked is waited out.
async fn take_over(node: Weak<Node>, change: Change) {
    let Change { old, view, new, gone, is_split } = change;
    let Some(strong) = node.upgrade() else { return };
    let Some(cluster) = strong.cluster().cloned() else { return };
    drop(strong);
    if is_split {
        // What others let go of then, nothing comes after that was acknowledged on this side.
        view.settled().await;
        cluster.splits.came_back(cluster.clock.now());
    }
    #[cfg(any(test, feature = "test-util"))]
    if cluster.timing.faults == crate::Faults::AcknowledgeEarly {
        new.iter().for_each(|taking| taking.confirm());
    }
    let started = cluster.clock.now();
    let mut asked = JoinSet::new();
    for member in view.others() {
        asked.spawn(agreed(Arc::clone(&cluster), member.clone(), started));
    }
    let (mut waited_out, mut some_may_answer) = (Vec::new(), false);
    while let Some(agreed) = asked.join_next().await {
        match agreed {
            Ok(Ok(agreement)) => some_may_answer |= agreement == Agreement::WhileSomeMayAnswer,
            Ok(Err(id)) => waited_out.push(id),
            Err(_) => return,
        }
    }
    // Nobody agrees any more with who is gone.
    cluster.gone.end(&gone, view.number, cluster.clock.now().after(cluster.timing.lease));
    #[cfg(any(test, feature = "test-util"))]
    let is_split = is_split && cluster.timing.faults != crate::Faults::NeverTellOfSplits;
    if is_split && let Some(node) = node.upgrade() {
        for member in waited_out.iter().filter_map(|id| view.members.get(*id)) {
            let life = (member.id, member.incarnation);
            if cluster.splits.begin_to_tell(life) {
                node.spawn(tell_of_splits(Arc::downgrade(&node), life));
            }
        }
    }
    let locals = node.upgrade().map(|node| node.registry.all()).unwrap_or_default();
    if !new.is_empty() {
        raise_sequences(&locals, &cluster, &view).await;
        for local in &locals {
            promote(local, &view, &new, waited_out.is_empty()).await;
        }
    }
    // Whoever was there before the previous owner may be one of whom only the others know.
    let may_answer = |taking: &Arc<Taking>| match &taking.from {
        Some(from) => some_may_answer || waited_out.contains(&from.id),
        None => some_may_answer || taking.was_lost || !waited_out.is_empty(),
    };
    let (lost, there): (Vec<_>, Vec<_>) = new.into_iter().partition(may_answer);
    there.iter().for_each(|taking| taking.confirm());
    if !lost.is_empty() {
        // One that does not know that it was left out answers for so long after somebody agreed with it.
        cluster.clock.sleep_until(cluster.clock.now().after(cluster.timing.lease)).await;
        lost.iter().for_each(|taking| taking.confirm());
    }
    let Some(node) = node.upgrade() else { return };
    push_anew(&node, &cluster, &old, &view).await;
}

/// Waits until a member sees the same members as this node, or is waited out: then it does not, or is gone.
///
/// What it is to agree to is what this node sees by then: members who start at once hear of each other one by one, and whoever
/// waited for a view that has passed would be waited out each time. The error is one that was waited out. Who drains owns nothing, and
/// answers no more when it has said goodbye.
async fn agreed(cluster: Arc<Cluster>, asked: Member, started: Tick) -> Result<Agreement, NodeId> {
    let (id, mut owns) = (asked.id, asked.is_active());
    let (unheard, differing) = (started.after(cluster.timing.lease), started.after(cluster.timing.suspicion));
    loop {
        let view = cluster.view();
        let Some(member) = view.members.get(id) else {
            // It was not heard, and may not know it.
            return if owns { Err(id) } else { Ok(Agreement::Full) };
        };
        owns = member.is_active();
        let deadline = unheard.max(cluster.clock.now().after(PATIENCE));
        let give_up = tokio::select! {
            biased;
            () = cluster.other_view(&view) => continue,
            answer = cluster.agrees(&view, member, deadline) => match answer {
                Ok(Agreement::None) => differing,
                Ok(agreement) => {
                    view.agreed(id);
                    return Ok(agreement);
                }
                Err(_) => unheard,
            },
        };
        let now = cluster.clock.now();
        if now >= give_up {
            return Err(id);
        }
        // It answers at once as long as it has not started, and fails at once as long as it does not listen.
        cluster.another_view(&view, AGAIN.min(give_up.since(now))).await;
    }
}

/// Has a member that did not answer know of a split as soon as it does.
///
/// It ends when the member does not live on: should it come back, that is the end of another split.
async fn tell_of_splits(node: Weak<Node>, life: (NodeId, Incarnation)) {
    let mut rest = AGAIN;
    loop {
        let Some(cluster) = node.upgrade().and_then(|node| node.cluster().cloned()) else { return };
        let (view, splits) = (cluster.view(), cluster.splits.own());
        let Some(member) = view.members.get(life.0).filter(|member| member.incarnation == life.1) else {
            return cluster.splits.tell_no_more(life);
        };
        let deadline = cluster.clock.now().after(PATIENCE);
        let call = Call::TakeOver { epoch: view.epoch, splits };
        let answer = until(&cluster.clock, deadline, cluster.call(member, call, deadline)).await;
        // It has heard, whatever it sees.
        let heard = matches!(answer, Some(Ok(Answer::Done | Answer::Partial { .. } | Answer::WrongOwner { .. })));
        if heard && cluster.splits.has_told(life, splits) {
            return;
        }
        cluster.clock.sleep_until(cluster.clock.now().after(rest)).await;
        rest = (rest * 2).min(PATIENCE);
    }
}

/// Goes on from the others' sequences: entries of this node are then not taken for older than they are.
async fn raise_sequences(locals: &[Arc<Local>], cluster: &Cluster, view: &View) {
    // One that hangs holds up nobody else.
    let mut asked = Vec::new();
    let now = cluster.view();
    // Who said goodbye meanwhile answers no more.
    for member in view.others().filter(|member| member.is_active() || now.members.contains(member.id)) {
        asked.push(raise_to_those_of(member, locals, cluster));
    }
    join_all(asked).await;
}

async fn raise_to_those_of(member: &Member, locals: &[Arc<Local>], cluster: &Cluster) {
    let deadline = cluster.clock.now().after(cluster.timing.lease);
    for some in locals.chunks(AT_ONCE) {
        let mut asked = Vec::new();
        for local in some {
            asked.push(raise_sequence(member, local, cluster, deadline));
        }
        join_all(asked).await;
    }
}

async fn raise_sequence(member: &Member, local: &Local, cluster: &Cluster, deadline: Tick) {
    let space = memstache_core::Space::new(None, local.spec.name());
    let call = Call::Sequences { keyspace: local.spec.name().clone(), spaces: vec![space] };
    let answer = until(&cluster.clock, deadline, cluster.call(member, call, deadline)).await;
    if let Some(Ok(Answer::Sequences(sequences))) = answer {
        sequences.into_iter().for_each(|sequence| local.store.raise_sequence(sequence));
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
    let Some(cluster) = node.cluster() else { return };
    for local in node.registry.all() {
        // What was lost later has time of its own.
        let now = cluster.view();
        local.store.retain(|stored| view.owns(stored) || now.owns(stored));
        tokio::task::yield_now().await;
    }
}
