//! Hot keys: which they are, and which nodes may have copies of them.

mod holders;
mod promise;
mod reads;
mod recall;
mod sketch;

use std::sync::Arc;

use memstache_core::{Address, Clock};

use self::holders::Holders;
use self::reads::Reads;
pub(crate) use self::reads::{HotRead, MOST_HOT_KEYS};
pub(super) use self::{
    holders::Held,
    recall::{changed, recall},
};
use crate::reader::View;

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

    /// Waits until nobody but the members may have a copy: those are told of what changes, others are not.
    pub(super) async fn end_of_others(&self, view: &View) {
        let until = self.holders.until_of_others(|id| view.members.contains(id));
        if until > self.clock.now() {
            self.clock.sleep_until(until).await;
        }
    }

    /// Forgets what is known of others than the members.
    pub(super) fn forget_others(&self, view: &View) {
        self.holders.forget_others(|id| view.members.contains(id));
    }
}
