//! Hot keys: which they are, and which nodes may have copies of them.

mod holders;
mod promise;
mod reads;
mod recall;
mod sketch;

use std::sync::Arc;

use memstache_core::{Address, Clock, Tick};

use self::holders::Holders;
use self::reads::Reads;
pub(crate) use self::reads::{HotRead, MOST_HOT_KEYS};
pub(super) use self::{
    holders::Held,
    recall::{changed, recall},
};
use crate::member::NodeId;

/// The hot keys of one keyspace that this node owns.
#[derive(Debug)]
pub(crate) struct Hot {
    pub(crate) reads: Reads,
    holders: Holders,
    clock: Arc<dyn Clock>,
}

impl Hot {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { reads: Reads::new(Arc::clone(&clock)), holders: Holders::default(), clock }
    }

    /// Returns how many other nodes may have a copy of a key now.
    pub(crate) fn copies(&self, address: &Address) -> usize {
        self.holders.count(address, self.clock.now())
    }

    /// Returns who may have copies of keys, to be told.
    pub(super) fn held(&self, changed: &[Address]) -> Vec<Held> {
        if changed.is_empty() { Vec::new() } else { self.holders.of(changed, self.clock.now()) }
    }

    /// Returns until when nodes that are none of these may have copies.
    pub(super) fn until_of_others(&self, is_member: impl Fn(NodeId) -> bool) -> Tick {
        self.holders.until_of_others(is_member)
    }
}
