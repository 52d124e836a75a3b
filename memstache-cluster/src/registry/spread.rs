//! Telling others of keyspaces, and hearing of theirs.
//!
//! Who changes a keyspace tells every member, and waits for those that are active. Whoever missed it learns of it by the
//! exchange: when members come, and every 30 seconds, a node compares digests with one other, and each takes what it lacks.
//! What a node learned that way it passes on to two others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::stream::{self, StreamExt as _};
use memstache_core::{Result, Tick};

use super::Changes;
use crate::{
    engine::{EngineEvent, KeySpaceChange, Node, until},
    member::{Member, MemberState},
    reader::{Cluster, warm_after_update},
    wire::{Answer, Call, RegistryRecord},
};

/// How often a node compares what it knows with another; half of that more or less, by chance.
const EXCHANGE: Duration = Duration::from_secs(30);
/// How long one member has to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it takes until a member is told again that did not answer.
const AGAIN: Duration = Duration::from_millis(50);
/// Members that are told at a time.
const AT_A_TIME: usize = 64;
/// How many others are asked by a node that starts, if the first ones do not answer.
const ASKED_AT_START: usize = 3;
/// How many others are told of what was learned.
const PASSED_ON_TO: usize = 2;

impl Node {
    /// Tells every member of a keyspace, and waits until those that are active know it, or are declared dead.
    ///
    /// # Cancellation
    /// The telling goes on.
    pub(crate) async fn spread_keyspace(self: &Arc<Self>, name: &str) {
        let (Some(cluster), Some(record)) = (self.cluster().cloned(), self.registry.record(name)) else { return };
        if cluster.view().others().next().is_none() {
            return;
        }
        let give_up = self.clock.now().after(self.times.write);
        let (told, wait) = tokio::sync::oneshot::channel();
        let node = Arc::clone(self);
        self.spawn(async move {
            tell_all(&node, &cluster, vec![record], give_up).await;
            // An error means that the caller left.
            let _ = told.send(());
        });
        // It is dropped with the node.
        let _ = wait.await;
    }

    /// Takes what another node knows of keyspaces; returns what it lacks, and whether anything is news.
    fn hear_of_keyspaces(self: &Arc<Self>, records: Vec<RegistryRecord>) -> (Vec<RegistryRecord>, bool) {
        let heard = self.registry.hear(records);
        if heard.refused > 0 {
            tracing::warn!(keyspaces = heard.refused, "keyspaces of the cluster are too many for this node");
        }
        let news = !heard.applied.is_empty();
        self.tell_of_keyspaces(heard.applied);
        (heard.behind, news)
    }

    /// Goes on with keyspaces that have changed, and tells who listens.
    pub(crate) fn tell_of_keyspaces(self: &Arc<Self>, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        if let Some(cluster) = self.cluster() {
            let live = cluster.view().live();
            self.registry.all().iter().for_each(|local| local.shared_by(live));
        }
        for (keyspace, change) in changes {
            if change == KeySpaceChange::Conflict {
                tracing::warn!(keyspace = keyspace.as_str(), "nodes define a keyspace in different ways");
            }
            if matches!(change, KeySpaceChange::Created | KeySpaceChange::Updated) {
                warm_after_update(self, &keyspace);
            }
            self.events.tell(&EngineEvent::KeySpace { keyspace, change });
        }
    }

    /// Answers a peer that tells or asks of keyspaces.
    pub(crate) fn answer_of_keyspaces(self: &Arc<Self>, digest: Option<u64>, records: Vec<RegistryRecord>) -> Answer {
        let (behind, _) = self.hear_of_keyspaces(records);
        let (known, own) = self.registry.known();
        match digest {
            Some(digest) if digest != own => Answer::Registry(known),
            _ if behind.is_empty() => Answer::Done,
            _ => Answer::Registry(behind),
        }
    }

    /// Compares what is known with another member; each takes what it lacks. Returns whether anything was news here.
    async fn exchange_keyspaces(self: &Arc<Self>, cluster: &Cluster, with: &Member) -> Result<bool> {
        let deadline = self.clock.now().after(PATIENCE);
        let (known, digest) = self.registry.known();
        let ask = Call::Registry { digest: Some(digest), records: Vec::new() };
        let Answer::Registry(theirs) = ask_until(cluster, with, ask, deadline).await? else { return Ok(false) };
        let lacks: Vec<_> = {
            let theirs: BTreeMap<&str, _> = theirs.iter().map(|record| (record.keyspace.as_str(), record)).collect();
            let lacks =
                |record: &RegistryRecord| theirs.get(record.keyspace.as_str()).is_none_or(|it| it.lacks(record));
            known.into_iter().filter(lacks).collect()
        };
        let (_, news) = self.hear_of_keyspaces(theirs);
        if !lacks.is_empty() {
            let tell = Call::Registry { digest: None, records: lacks };
            ask_until(cluster, with, tell, deadline).await?;
        }
        Ok(news)
    }

    /// Learns of the cluster's keyspaces before this node serves any, and has the others know of its own.
    pub(crate) async fn learn_keyspaces(self: &Arc<Self>, members: &crate::member::Members) {
        let Some(cluster) = self.cluster().cloned() else { return };
        let (own, _) = self.registry.known();
        let mut others: Vec<_> = members.iter().filter(|member| member.id != cluster.me).cloned().collect();
        fastrand::shuffle(&mut others);
        others.sort_by_key(|member| member.state != MemberState::Active);
        for member in others.iter().take(ASKED_AT_START) {
            if self.exchange_keyspaces(&cluster, member).await.is_ok() {
                break;
            }
        }
        // What this node was built with, and others define in another way: they are to know.
        let lost = |record: &RegistryRecord| {
            self.registry.record(record.keyspace.as_str()).is_none_or(|now| now.body != record.body)
        };
        let lost: Vec<_> = own.into_iter().filter(lost).collect();
        if !lost.is_empty() {
            let (node, give_up) = (Arc::clone(self), self.clock.now().after(PATIENCE));
            self.spawn(async move { tell(&node, &cluster, others, lost, give_up).await });
        }
    }
}

/// Exchanges with one of the members that came, a moment later: all who see them come do not ask at once.
pub(crate) async fn meet(node: Weak<Node>, came: Vec<Member>) {
    let Some(member) = fastrand::choice(came) else { return };
    let Some(clock) = node.upgrade().map(|node| Arc::clone(&node.clock)) else { return };
    let wait = Duration::from_millis(fastrand::u64(0..1000));
    clock.sleep_until(clock.now().after(wait)).await;
    exchange(&node, Some(member)).await;
}

/// Exchanges with somebody now and then, as long as the node lives.
pub(crate) async fn keep_agreeing(node: Weak<Node>) {
    loop {
        let Some(clock) = node.upgrade().map(|node| Arc::clone(&node.clock)) else { return };
        let wait = EXCHANGE.mul_f64(0.5 + fastrand::f64());
        clock.sleep_until(clock.now().after(wait)).await;
        exchange(&node, None).await;
    }
}

/// Exchanges with a member, or with any; what was learned is passed on.
async fn exchange(node: &Weak<Node>, with: Option<Member>) {
    let Some(node) = node.upgrade() else { return };
    let Some(cluster) = node.cluster().cloned() else { return };
    let mut others: Vec<_> = cluster.view().others().cloned().collect();
    fastrand::shuffle(&mut others);
    let Some(with) = with.or_else(|| others.pop()) else { return };
    // Who does not answer is asked another time.
    if let Ok(true) = node.exchange_keyspaces(&cluster, &with).await {
        others.retain(|member| member.id != with.id);
        others.truncate(PASSED_ON_TO);
        let (known, _) = node.registry.known();
        let give_up = node.clock.now().after(PATIENCE);
        tell(&node, &cluster, others, known, give_up).await;
    }
}

async fn tell_all(node: &Arc<Node>, cluster: &Cluster, records: Vec<RegistryRecord>, give_up: Tick) {
    let others: Vec<_> = cluster.view().others().cloned().collect();
    tell(node, cluster, others, records, give_up).await;
}

/// Tells members; those that are active are told again until they answer, are gone, or the time is over.
async fn tell(node: &Arc<Node>, cluster: &Cluster, members: Vec<Member>, records: Vec<RegistryRecord>, give_up: Tick) {
    let tells = members.into_iter().map(|member| tell_one(node, cluster, member, &records, give_up));
    stream::iter(tells).buffer_unordered(AT_A_TIME).collect::<()>().await;
}

async fn tell_one(node: &Arc<Node>, cluster: &Cluster, member: Member, records: &[RegistryRecord], give_up: Tick) {
    loop {
        let limit = give_up.min(cluster.clock.now().after(PATIENCE));
        let tell = Call::Registry { digest: None, records: records.to_vec() };
        match ask_until(cluster, &member, tell, limit).await {
            Ok(Answer::Registry(later)) => return drop(node.hear_of_keyspaces(later)),
            Ok(_) => return,
            Err(_) => {}
        }
        let now = cluster.clock.now();
        let there = cluster.view().members.get(member.id).is_some_and(|now| now.state == MemberState::Active);
        if now >= give_up || !there {
            return;
        }
        cluster.clock.sleep_until(now.after(AGAIN).min(give_up)).await;
    }
}

async fn ask_until(cluster: &Cluster, member: &Member, call: Call, deadline: Tick) -> Result<Answer> {
    let answer = until(&cluster.clock, deadline, cluster.call(member, call, deadline)).await;
    answer.unwrap_or_else(|| Err(crate::engine::cut_off(true)))
}
