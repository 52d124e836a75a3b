//! What moves when a table follows another.

use super::{Partition, Table};
use crate::member::NodeId;

/// What moves when one table follows another.
///
/// ```
/// use memstache_cluster::{Change, NodeId, PARTITIONS, Table, Weight};
///
/// let (a, b) = (NodeId(1), NodeId(2));
/// let alone = Table::build(&[(a, Weight::default())])?;
/// let both = Table::build(&[(a, Weight::default()), (b, Weight::default())])?;
/// let change = Change::between(&alone, &both);
/// assert_eq!(change.gained(b).count(), both.owned_by(b).count());
/// assert_eq!(change.lost(a).count(), change.len());
/// assert_eq!(change.gained(a).count(), 0);
/// assert!(change.len() < PARTITIONS);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    moved: Vec<Moved>,
}

/// A partition that has another owner than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// Which partition.
    pub partition: Partition,
    /// Who owned it; nobody, if there was nobody.
    pub from: Option<NodeId>,
    /// Who owns it now.
    pub to: Option<NodeId>,
}

impl Change {
    /// Compares two tables.
    pub fn between(before: &Table, after: &Table) -> Self {
        let moved = Partition::all().filter_map(|partition| {
            let (from, to) = (before.owner(partition), after.owner(partition));
            (from != to).then_some(Moved { partition, from, to })
        });
        Self { moved: moved.collect() }
    }

    /// Iterates over what moved, in the order of partitions.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Moved> {
        self.moved.iter()
    }

    /// Returns how many partitions moved.
    pub fn len(&self) -> usize {
        self.moved.len()
    }

    /// Returns whether nothing moved.
    pub fn is_empty(&self) -> bool {
        self.moved.is_empty()
    }

    /// Iterates over what a member owns now and did not before.
    pub fn gained(&self, node: NodeId) -> impl Iterator<Item = &Moved> {
        self.moved.iter().filter(move |moved| moved.to == Some(node))
    }

    /// Iterates over what a member owned before and does not now.
    pub fn lost(&self, node: NodeId) -> impl Iterator<Item = &Moved> {
        self.moved.iter().filter(move |moved| moved.from == Some(node))
    }
}
