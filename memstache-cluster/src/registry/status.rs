//! What a node says of a keyspace.

use memstache_core::KeyspaceName;

use crate::{keyspace::KeySpace, member::NodeId};

/// A keyspace as the cluster knows it, and what this node makes of it.
///
/// ```
/// use memstache_cluster::{Engine, KeySpace};
///
/// let engine = Engine::builder().keyspace(KeySpace::builder("users").build()?).build()?;
/// let users = &engine.keyspaces()[0];
/// assert_eq!((users.name().as_str(), users.version()), ("users", 1));
/// assert!(users.is_defined() && !users.is_conflicting());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeySpaceStatus {
    pub(crate) name: KeyspaceName,
    pub(crate) keyspace: Option<KeySpace>,
    pub(crate) version: u64,
    pub(crate) created_by: NodeId,
    pub(crate) changed_by: NodeId,
    pub(crate) dissenters: Vec<NodeId>,
}

impl KeySpaceStatus {
    /// Returns the name.
    pub fn name(&self) -> &KeyspaceName {
        &self.name
    }

    /// Returns the keyspace as this node serves it; `None` if it does not: it needs a source, and this node was given none.
    pub fn keyspace(&self) -> Option<&KeySpace> {
        self.keyspace.as_ref()
    }

    /// Returns whether this node serves it.
    pub fn is_defined(&self) -> bool {
        self.keyspace.is_some()
    }

    /// Returns the bound of the bytes that this node holds of it; zero if it does not serve it.
    pub fn max_bytes(&self) -> usize {
        self.keyspace.as_ref().map_or(0, KeySpace::max_bytes)
    }

    /// Returns whether it is loaded from a source: what this node does not serve is.
    pub fn has_source(&self) -> bool {
        self.keyspace.as_ref().is_none_or(KeySpace::has_source)
    }

    /// Returns which state of its definition this is; it grows by one with each create, update and delete.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns which node created it; zero for a node that stands alone.
    pub fn created_by(&self) -> NodeId {
        self.created_by
    }

    /// Returns which node's definition this is.
    pub fn changed_by(&self) -> NodeId {
        self.changed_by
    }

    /// Returns which nodes define this version with other settings, as far as this node has heard: at most 16. They use those of
    /// [`changed_by`](Self::changed_by) nonetheless.
    pub fn dissenters(&self) -> &[NodeId] {
        &self.dissenters
    }

    /// Returns whether some node defines this version with other settings.
    pub fn is_conflicting(&self) -> bool {
        !self.dissenters.is_empty()
    }
}
