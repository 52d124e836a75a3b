//! The members.

use memstache_core::resilience::BreakerState;
use serde::Serialize;

use super::millis;
use crate::{Engine, Member, PeerStatus, placement::Partition, reader::View};

/// Who a member is.
#[derive(Clone, Debug, Serialize)]
pub(in crate::admin) struct Who {
    /// The fields of DistCache.
    bind_addr: String,
    bind_port: u16,
    discovery_port: u16,
    pub(in crate::admin) name: String,
    /// As text: 64 bits are more than numbers of JavaScript hold.
    pub(in crate::admin) id: String,
    incarnation: u64,
    pub(in crate::admin) state: &'static str,
    pub(in crate::admin) zone: Option<String>,
    weight: u16,
}

impl From<&Member> for Who {
    fn from(member: &Member) -> Self {
        Self {
            bind_addr: member.address.ip().to_string(),
            bind_port: member.address.port(),
            discovery_port: member.gossip.port(),
            name: member.name.as_str().to_owned(),
            id: member.id.to_string(),
            incarnation: member.incarnation.0,
            state: member.state.as_str(),
            zone: member.zone.as_ref().map(|zone| zone.as_str().to_owned()),
            weight: member.weight.get(),
        }
    }
}

impl Who {
    pub(in crate::admin) fn address(&self) -> String {
        format!("{}:{}", self.bind_addr, self.bind_port)
    }
}

/// A member, what it owns, and how it is, as far as calls to it tell.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Peer {
    #[serde(flatten)]
    pub(in crate::admin) who: Who,
    pub(in crate::admin) is_self: bool,
    pub(in crate::admin) partitions: u64,
    /// Of all partitions.
    pub(in crate::admin) share: f64,
    pub(in crate::admin) health: &'static str,
    /// What calls to it tell; none of this node, and of one that was never called.
    pub(in crate::admin) calls: Option<CallsTold>,
}

/// What calls to a peer tell.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct CallsTold {
    connected: bool,
    pub(in crate::admin) breaker: &'static str,
    in_flight: usize,
    total: u64,
    pub(in crate::admin) failures: u64,
    consecutive_failures: u64,
    pub(in crate::admin) latency_ms: f64,
    pub(in crate::admin) p95_ms: f64,
}

/// Tells of all members that this node sees, itself first; of nobody where it stands alone.
pub(in crate::admin) fn peers(engine: &Engine) -> Vec<Peer> {
    let mut peers: Vec<Peer> = engine.peers().iter().map(Peer::from).collect();
    peers.sort_by(|a, b| b.is_self.cmp(&a.is_self).then_with(|| a.who.name.cmp(&b.who.name)));
    peers
}

impl From<&PeerStatus> for Peer {
    fn from(peer: &PeerStatus) -> Self {
        Self {
            who: (&peer.member).into(),
            is_self: peer.is_self,
            partitions: peer.partitions as u64,
            share: peer.share,
            health: health(peer),
            calls: was_called(peer).then(|| peer.into()),
        }
    }
}

fn was_called(peer: &PeerStatus) -> bool {
    !peer.is_self && (peer.connects > 0 || peer.calls > 0 || peer.in_flight > 0)
}

/// How a peer is, in a word.
fn health(peer: &PeerStatus) -> &'static str {
    match peer.breaker {
        _ if peer.is_self => "self",
        BreakerState::Closed if peer.consecutive_failures > 0 => "degraded",
        BreakerState::Closed if peer.connected => "healthy",
        // Its connection is gone, or there never was one.
        BreakerState::Closed if peer.connects > 0 => "disconnected",
        BreakerState::Closed => "unknown",
        BreakerState::HalfOpen => "degraded",
        _ => "down",
    }
}

impl From<&PeerStatus> for CallsTold {
    fn from(peer: &PeerStatus) -> Self {
        Self {
            connected: peer.connected,
            breaker: peer.breaker.as_str(),
            in_flight: peer.in_flight,
            total: peer.calls,
            failures: peer.failures,
            consecutive_failures: peer.consecutive_failures,
            latency_ms: millis(peer.latency),
            p95_ms: millis(peer.p95),
        }
    }
}

/// Returns how many partitions each member of the table owns, in its order.
pub(super) fn owned(view: &View) -> Vec<u64> {
    let nodes = view.table.nodes();
    let mut owned = vec![0; nodes.len()];
    for owner in Partition::all().filter_map(|partition| view.table.owner(partition)) {
        if let Ok(place) = nodes.binary_search_by_key(&owner, |(id, _)| *id) {
            owned[place] += 1;
        }
    }
    owned
}
