//! What a membership needs of the engine's connections: a way for long lists, and who answers.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use memstache_core::{Error, ErrorKind, Result};

use super::{EngineError, Node, until};
use crate::{
    member::Member,
    membership::{Liveness, Membership, StateStream},
    reader::Cluster,
    wire::{Answer, Call},
};

/// Longest list of members that is sent or taken: that of 65,535 members with the longest names does not fit, that of 10,000
/// does.
const MOST_BYTES: usize = 8 << 20;
/// How long an exchange of lists may take.
const EXCHANGE: Duration = Duration::from_secs(5);
/// How often members are asked whether they are there, and how long they have to answer.
const RHYTHM: Duration = Duration::from_secs(1);
/// Members that are asked at a time.
const AT_A_TIME: usize = 64;

/// Carries lists of members over the connections of peers.
pub(super) struct OverPeers(pub(super) Weak<Node>);

#[async_trait]
impl StateStream for OverPeers {
    async fn exchange(&self, with: &Member, state: Bytes) -> Result<Bytes> {
        let node = self.0.upgrade().ok_or(EngineError::Stopped)?;
        let cluster = node.cluster().ok_or(EngineError::NotStarted)?;
        check(state.len())?;
        let deadline = node.clock.now().after(EXCHANGE);
        match cluster.call(with, Call::Gossip(state), deadline).await? {
            Answer::Gossip(theirs) => check(theirs.len()).map(|()| theirs),
            Answer::Failed(error) => Err(error),
            _ => Err(Error::new(ErrorKind::Protocol, "a peer answered something else")),
        }
    }
}

fn check(len: usize) -> Result<()> {
    if len <= MOST_BYTES {
        return Ok(());
    }
    let detail = format!("a list of members has at most {MOST_BYTES} bytes, and this has {len}");
    Err(Error::new(ErrorKind::TooLarge, detail).without_effect())
}

impl fmt::Debug for OverPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverPeers").finish_non_exhaustive()
    }
}

impl Node {
    /// Answers a peer that brings its list of members.
    pub(crate) fn receive_members(&self, state: &[u8]) -> Result<Bytes> {
        check(state.len())?;
        let config = self.config.as_ref().ok_or(EngineError::NotStarted)?;
        config.membership.receive_state(state)
    }
}

/// Asks those whose membership does not know by itself whether they are there, as long as the node lives.
pub(super) async fn watch_over(node: Weak<Node>, membership: Arc<dyn Membership>) {
    let Some((cluster, clock)) = cluster_of(&node) else { return };
    let mut liveness = Liveness::new(cluster.timing.suspicion);
    drop(cluster);
    loop {
        clock.sleep_until(clock.now().after(RHYTHM.mul_f64(0.75 + fastrand::f64() / 2.0))).await;
        let Some((cluster, _)) = cluster_of(&node) else { return };
        let watched = membership.watched();
        liveness.retain(|id| watched.iter().any(|member| member.id == id));
        let asks = watched.into_iter().map(|member| answers(&cluster, member));
        let mut answers = stream::iter(asks).buffer_unordered(AT_A_TIME);
        while let Some((member, answered)) = answers.next().await {
            if let Some(there) = liveness.note(member.id, answered, clock.now()) {
                membership.report(member.id, there);
            }
        }
    }
}

fn cluster_of(node: &Weak<Node>) -> Option<(Arc<Cluster>, Arc<dyn memstache_core::Clock>)> {
    let node = node.upgrade()?;
    let cluster = node.cluster()?;
    Some((Arc::clone(cluster), Arc::clone(&node.clock)))
}

async fn answers(cluster: &Cluster, member: Member) -> (Member, bool) {
    let limit = cluster.clock.now().after(RHYTHM);
    let answer = until(&cluster.clock, limit, cluster.call(&member, Call::Ping, limit)).await;
    let answered = matches!(answer, Some(Ok(Answer::Done)));
    (member, answered)
}
