//! How the members are, as this node sees them.

use std::time::Duration;

use memstache_core::resilience::BreakerState;

use super::Engine;
use crate::{
    member::Member,
    peer::{PeerHealth, ServerStats},
    placement::PARTITIONS,
};

/// How a member is, as this node sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Who it is: its name, state, zone, weight.
    pub member: Member,
    /// Whether it is this node; calls to it are none then.
    pub is_self: bool,
    /// How many of the 16,384 partitions it owns.
    pub partitions: usize,
    /// Which part of all that is, from 0 to 1.
    pub share: f64,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// How many connections to it were made.
    pub connects: u64,
    /// What its breaker does with calls.
    pub breaker: BreakerState,
    /// Calls under way.
    pub in_flight: usize,
    /// Calls that ended, well or not; those that callers gave up are not among them.
    pub calls: u64,
    /// Calls that it did not answer, or not in time.
    pub failures: u64,
    /// Failures since its last answer.
    pub consecutive_failures: u64,
    /// How long its answers took: the mean, by which the last weighs 1/16.
    pub latency: Duration,
    /// What 95 of a hundred recent answers took at most, about.
    pub p95: Duration,
    /// How long ago it answered; `None` if it never did.
    pub heard: Option<Duration>,
}

impl PeerStatus {
    fn new(member: Member, is_self: bool, partitions: usize, health: Option<PeerHealth>) -> Self {
        let health = health.unwrap_or_else(PeerHealth::unknown);
        Self {
            member,
            is_self,
            partitions,
            share: partitions as f64 / PARTITIONS as f64,
            connected: health.connected,
            connects: health.connects,
            breaker: health.breaker,
            in_flight: health.in_flight,
            calls: health.calls,
            failures: health.failures,
            consecutive_failures: health.consecutive_failures,
            latency: health.latency,
            p95: health.p95,
            heard: health.heard,
        }
    }
}

impl Engine {
    /// Returns how the members are, this node included, in the order of their ids; none of a node that stands alone.
    ///
    /// ```
    /// # use memstache_cluster::Engine;
    /// let engine = Engine::builder().build()?;
    /// assert!(engine.peers().is_empty());
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn peers(&self) -> Vec<PeerStatus> {
        let Some(cluster) = self.node.cluster() else { return Vec::new() };
        let view = cluster.view();
        let owned = view.table.counts();
        let joined = self.node.joined.lock();
        let status = |member: &Member| {
            let partitions = owned.iter().find(|(id, _)| *id == member.id).map_or(0, |(_, count)| *count);
            let health = joined.as_ref().and_then(|joined| joined.health(member.id));
            PeerStatus::new(member.clone(), member.id == cluster.me, partitions, health)
        };
        view.members.iter().map(status).collect()
    }

    /// Returns what became of the connections that peers, and others, made to this node; `None` while it takes none.
    pub fn connections(&self) -> Option<ServerStats> {
        self.node.joined.lock().as_ref().map(super::bootstrap::Joined::connections)
    }
}
