//! By which tables members may still go that have not agreed to the last one.

use crate::{
    member::NodeId,
    placement::{Partition, Table},
};

/// Most tables that are kept.
const MOST: usize = 16;

/// Tables that some members may not have left yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    all: Vec<Table>,
    /// Whether there were more than are kept: any member may keep copies of anything.
    more: bool,
}

impl Tables {
    /// Adds the last one.
    pub(super) fn push(&mut self, table: Table) {
        if !table.nodes().is_empty() {
            self.all.push(table);
        }
        if self.all.len() > MOST {
            self.all.remove(0);
            self.more = true;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns who keeps copies of a partition by any of them; `None` if that may be anybody.
    pub(super) fn keepers(&self, partition: Partition, replicas: usize) -> Option<Vec<NodeId>> {
        (!self.more).then(|| self.all.iter().flat_map(|table| table.ranked(partition, replicas)).collect())
    }
}
