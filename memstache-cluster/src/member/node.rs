//! What is known of one node.

use std::net::SocketAddr;

use super::{Incarnation, MemberState, NodeId, NodeName, Protocols, Weight, Zone};

/// One node of a cluster, as it describes itself.
///
/// Which of the members "self" is, is not among it: that each node knows by its own id.
///
/// ```
/// use memstache_cluster::{Member, MemberState, NodeId, Weight};
///
/// let member = Member::new("cache-0".parse()?, "10.0.0.7:3320".parse().unwrap())
///     .with_zone("eu-west-1a".parse()?)
///     .with_weight(Weight::new(200)?);
/// assert_eq!(member.id, NodeId::of(&member.name));
/// assert_eq!(member.state, MemberState::Joining);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Which node: the hash of its name.
    pub id: NodeId,
    /// Which life of it. Default: 0, before membership has given it one.
    pub incarnation: Incarnation,
    /// Counts up within a life: with each change of its description, and when it was taken for dead and is not. Default: 0.
    pub revision: u32,
    /// Its name.
    pub name: NodeName,
    /// Where it takes calls of peers (TCP).
    pub address: SocketAddr,
    /// Where it takes gossip (UDP). Default: the same as `address`.
    pub gossip: SocketAddr,
    /// Where it stands. Default: none.
    pub zone: Option<Zone>,
    /// How much of the keys it takes. Default: 100.
    pub weight: Weight,
    /// The versions of the wire protocol that it speaks. Default: those of this crate.
    pub protocols: Protocols,
    /// Whether it owns keys. Default: `Joining`.
    pub state: MemberState,
}

impl Member {
    /// Describes a node by its name and the address where it takes calls.
    pub fn new(name: NodeName, address: SocketAddr) -> Self {
        Self {
            id: NodeId::of(&name),
            incarnation: Incarnation::default(),
            revision: 0,
            name,
            address,
            gossip: address,
            zone: None,
            weight: Weight::default(),
            protocols: Protocols::CURRENT,
            state: MemberState::default(),
        }
    }

    /// Describes a node that is named by its address.
    pub fn at(address: SocketAddr) -> Self {
        Self::new(address.into(), address)
    }

    /// Sets which life of the node this is.
    #[must_use]
    pub fn with_incarnation(mut self, incarnation: Incarnation) -> Self {
        self.incarnation = incarnation;
        self
    }

    /// Sets how often the node has changed within its life.
    #[must_use]
    pub fn with_revision(mut self, revision: u32) -> Self {
        self.revision = revision;
        self
    }

    /// Sets where the node takes gossip.
    #[must_use]
    pub fn with_gossip(mut self, gossip: SocketAddr) -> Self {
        self.gossip = gossip;
        self
    }

    /// Sets where the node stands.
    #[must_use]
    pub fn with_zone(mut self, zone: Zone) -> Self {
        self.zone = Some(zone);
        self
    }

    /// Sets how much of the keys the node takes.
    #[must_use]
    pub fn with_weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the versions of the wire protocol that the node speaks.
    #[must_use]
    pub fn with_protocols(mut self, protocols: Protocols) -> Self {
        self.protocols = protocols;
        self
    }

    /// Sets whether the node owns keys.
    #[must_use]
    pub fn with_state(mut self, state: MemberState) -> Self {
        self.state = state;
        self
    }

    /// Returns what is the same for as long as nobody takes it for dead, and its state does not change.
    pub(crate) const fn life(&self) -> (Incarnation, u32) {
        (self.incarnation, self.revision)
    }

    /// Returns whether the node owns keys.
    pub fn is_active(&self) -> bool {
        self.state == MemberState::Active
    }
}
