//! How a node comes into its cluster, and how it leaves.

use std::sync::Arc;

use memstache_core::{Error, ErrorKind, Result, Tick};
use tokio::sync::watch;

use super::{
    EngineError, EngineEvent,
    clustered::ClusterConfig,
    contact::{OverPeers, watch_over},
    node::{Node, until},
};
use crate::{
    member::{MemberState, Members, NodeId},
    owner::Served,
    peer::{PeerHealth, Peers, Server, ServerStats},
    reader::{drain, follow, keep_in_touch},
    registry,
};

/// A node's part in its cluster, while it takes part.
pub(super) struct Joined {
    server: Server,
    peers: Peers,
}

impl Joined {
    /// Returns how a peer is; `None` if it was never called.
    pub(super) fn health(&self, id: NodeId) -> Option<PeerHealth> {
        self.peers.health(id)
    }

    /// Returns what became of the connections that others made.
    pub(super) fn connections(&self) -> ServerStats {
        self.server.stats()
    }
}

impl ClusterConfig {
    /// Listens, joins, waits for the quorum, and becomes active; what was begun is undone if that fails.
    pub(super) async fn join(&self, node: &Arc<Node>) -> Result<Joined> {
        let clock = &node.clock;
        let give_up = self.give_up(clock);
        let joined = match self.open(node, give_up).await {
            Ok(joined) => joined,
            Err(error) => {
                // The error that there was before says more.
                let _ = self.membership.leave().await;
                return Err(error);
            }
        };
        until(clock, give_up, self.find(node)).await;
        // With enough members it starts, also if nobody answered in time.
        match until(clock, give_up, self.wait_for_quorum(self.membership.watch())).await {
            Some(Ok(())) => {
                // What it does not learn now it learns from those who see it come.
                until(clock, give_up, node.learn_keyspaces(&self.membership.members())).await;
                node.spawn(follow(Arc::downgrade(node), self.membership.watch()));
                node.spawn(watch_over(Arc::downgrade(node), Arc::clone(&self.membership)));
                node.spawn(registry::keep_agreeing(Arc::downgrade(node)));
                node.spawn(keep_in_touch(Arc::downgrade(node)));
                node.spawn(forget_gone(joined.peers.clone(), self.membership.watch()));
                self.membership.set_state(MemberState::Active);
                Ok(joined)
            }
            Some(Err(error)) => Err(self.undo(joined, clock.now(), error).await),
            None => Err(self.undo(joined, clock.now(), EngineError::ClusterQuorum.into()).await),
        }
    }

    async fn open(&self, node: &Arc<Node>, give_up: Tick) -> Result<Joined> {
        let clock = Arc::clone(&node.clock);
        let bound = until(&clock, give_up, self.transport.bind(self.bind)).await;
        let listener = bound.ok_or_else(|| Error::new(ErrorKind::Timeout, "no listener in time"))??;
        let local = self.local()?;
        let events = Arc::clone(&node.events);
        let told = move |peer, state| events.tell(&EngineEvent::PeerBreaker { peer, state });
        let transport = Arc::clone(&self.transport);
        let peers = Peers::new(transport, local.clone(), self.peers(), Arc::clone(&clock), Arc::new(told))?;
        if let Some(cluster) = node.cluster() {
            cluster.connect(Arc::new(peers.clone()));
        }
        let served = Arc::new(Served(Arc::downgrade(node)));
        let server = Server::start(listener, local, served, self.peers(), clock)?;
        self.membership.connect(Arc::new(OverPeers(Arc::downgrade(node))));
        Ok(Joined { server, peers })
    }

    /// Asks who is there, some times.
    async fn find(&self, node: &Node) {
        for attempt in 1..=self.max_join_attempts {
            match self.membership.join().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(kind = error.kind().as_str(), attempt, "nobody answered who is there");
                }
            }
            if attempt < self.max_join_attempts {
                node.clock.sleep_until(node.clock.now().after(self.join_retry_interval)).await;
            }
        }
        tracing::warn!(attempts = self.max_join_attempts, "nobody answered who is there; the node goes on alone");
    }

    async fn wait_for_quorum(&self, mut members: watch::Receiver<Members>) -> Result<()> {
        let enough = |members: &Members| members.len() >= self.minimum_peers_quorum;
        members.wait_for(enough).await.map(drop).map_err(|_| EngineError::Stopped.into())
    }

    async fn undo(&self, joined: Joined, now: Tick, error: Error) -> Error {
        joined.peers.close();
        joined.server.stop(now).await;
        // The error that there was before says more.
        let _ = self.membership.leave().await;
        error
    }

    /// Gives up what the node owns, and hands it over.
    pub(super) async fn hand_over(&self, node: &Arc<Node>, deadline: Tick) {
        self.membership.set_state(MemberState::Draining);
        if until(&node.clock, deadline, drain(node, deadline)).await.is_none() {
            tracing::debug!("not all that the node held was handed over in time");
        }
    }

    /// Gives up what the node owns, hands it over within half of the time, and leaves.
    ///
    /// # Cancellation
    /// It can be repeated.
    pub(super) async fn leave(&self, node: &Arc<Node>, deadline: Tick) {
        let clock = &node.clock;
        let now = clock.now();
        self.hand_over(node, now.after(deadline.since(now) / 2)).await;
        if let Some(Err(error)) = until(clock, deadline, self.membership.leave()).await {
            tracing::debug!(kind = error.kind().as_str(), "not everybody was told that the node leaves");
        }
    }
}

impl Joined {
    /// Ends what peers still wait for, within the time, and then all connections.
    pub(super) async fn close(self, deadline: Tick) {
        self.server.stop(deadline).await;
        self.peers.close();
    }
}

/// Ends the connections to members that left.
async fn forget_gone(peers: Peers, mut members: watch::Receiver<Members>) {
    while members.changed().await.is_ok() {
        let now = members.borrow_and_update().clone();
        peers.retain(|id| now.contains(id));
    }
}
