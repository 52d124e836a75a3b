//! Who takes part in a cluster.

use std::net::SocketAddr;

/// Which node of a cluster: a stable hash of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// Which life of a node; greater is later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Which node.
    pub id: NodeId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Where it takes calls.
    pub address: SocketAddr,
}
