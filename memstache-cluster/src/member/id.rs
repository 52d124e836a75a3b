//! Numbers for nodes and for their lives.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::NodeName;

/// Which node of a cluster: a stable hash (XXH3, 64 bits) of its name.
///
/// The same on every node and over restarts, so that a node that comes back owns what it owned.
///
/// ```
/// use memstache_cluster::{NodeId, NodeName};
///
/// let name: NodeName = "10.0.0.7:3320".parse()?;
/// assert_eq!(NodeId::of(&name), NodeId::of(&name));
/// assert_eq!(NodeId(255).to_string(), "00000000000000ff");
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// Returns the id of the node with this name.
    pub fn of(name: &NodeName) -> Self {
        Self(xxh3_64(name.as_str().as_bytes()))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// Which life of a node; greater is later.
///
/// Milliseconds of the wall clock when the node started, or one more than what the cluster remembers of it, whichever is
/// greater: a clock that was put back takes nobody out of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_they_always_were() {
        // By the reference implementation of XXH3 (Python's xxhash).
        assert_eq!(NodeId::of(&"10.0.0.7:3320".parse().unwrap()), NodeId(0x3666_d414_ebe7_d365));
    }
}
