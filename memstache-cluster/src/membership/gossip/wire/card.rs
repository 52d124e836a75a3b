//! How a node is known to foca.

use std::{net::SocketAddr, sync::Arc};

use foca::Identity;

use crate::member::{Incarnation, Member, MemberState, NodeId, NodeName, Protocols, Weight, Zone};

/// Which version of a node's description: what tells two of them apart.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Key {
    pub(in super::super) id: NodeId,
    pub(in super::super) incarnation: Incarnation,
    /// Counts up within a life: with each change, and when the node was declared dead and is not.
    pub(in super::super) revision: u32,
    /// Where to send to. Not compared.
    pub(in super::super) gossip: SocketAddr,
}

/// The rest of a node's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Details {
    pub(in super::super) address: SocketAddr,
    pub(in super::super) weight: Weight,
    pub(in super::super) protocols: Protocols,
    pub(in super::super) state: MemberState,
    pub(in super::super) name: NodeName,
    pub(in super::super) zone: Option<Zone>,
}

/// A node as foca knows it. Whoever is alive has details; of the dead, and of receivers, the key is enough.
#[derive(Clone, Debug)]
pub(in super::super) struct Card {
    pub(in super::super) key: Key,
    pub(in super::super) details: Option<Arc<Details>>,
}

impl Card {
    pub(in super::super) fn of(member: &Member, revision: u32) -> Self {
        let details = Details {
            address: member.address,
            weight: member.weight,
            protocols: member.protocols,
            state: member.state,
            name: member.name.clone(),
            zone: member.zone.clone(),
        };
        let (id, incarnation, gossip) = (member.id, member.incarnation, member.gossip);
        Self { key: Key { id, incarnation, revision, gossip }, details: Some(Arc::new(details)) }
    }

    /// The member that is described, if it is.
    pub(in super::super) fn to_member(&self) -> Option<Member> {
        let details = self.details.as_ref()?;
        let mut member = Member::new(details.name.clone(), details.address)
            .with_incarnation(self.key.incarnation)
            .with_revision(self.key.revision)
            .with_gossip(self.key.gossip)
            .with_weight(details.weight)
            .with_protocols(details.protocols)
            .with_state(details.state);
        member.zone.clone_from(&details.zone);
        Some(member)
    }

    fn version(&self) -> (Incarnation, u32) {
        (self.key.incarnation, self.key.revision)
    }
}

impl PartialEq for Card {
    fn eq(&self, other: &Self) -> bool {
        self.key.id == other.key.id && self.version() == other.version()
    }
}

impl Eq for Card {}

impl Identity for Card {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        let revision = self.key.revision.checked_add(1)?;
        Some(Self { key: Key { revision, ..self.key }, details: self.details.clone() })
    }

    fn addr(&self) -> NodeId {
        self.key.id
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.version() > adversary.version()
    }
}
