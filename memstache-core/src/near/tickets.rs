//! Whether anything changed between asking and copying the answer.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;

use crate::sync::atomic::{AtomicU64, Ordering};

/// Keys share this many counters; two that share one only cost each other a copy.
const LANES: usize = 1024;

/// Counts changes, so that an answer that was overtaken by one is not kept. Pure and lock-free.
///
/// Taking a ticket, asking and inserting on one side, and counting a change before removing on the other, leave no order
/// in which an outdated copy stays: either the inserter sees the count, or the remover sees the copy.
pub(crate) struct Tickets {
    hasher: RandomState,
    lanes: Box<[AtomicU64]>,
    everything: AtomicU64,
}

/// The state of the changes when something was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(super) lane: usize,
    pub(super) count: u64,
    pub(super) everything: u64,
}

impl Tickets {
    pub(crate) fn new() -> Self {
        let lanes = (0..LANES).map(|_| AtomicU64::new(0)).collect();
        Self { hasher: RandomState::default(), lanes, everything: AtomicU64::new(0) }
    }

    /// Takes a ticket for a stored key, before asking below.
    pub(crate) fn take(&self, stored: &[u8]) -> Ticket {
        let lane = self.lane(stored);
        Ticket {
            lane,
            count: self.lanes[lane].load(Ordering::SeqCst),
            everything: self.everything.load(Ordering::SeqCst),
        }
    }

    /// Returns whether nothing changed since; asked under the lock under which the copy is put in.
    pub(crate) fn stands(&self, ticket: &Ticket) -> bool {
        self.lanes[ticket.lane].load(Ordering::SeqCst) == ticket.count
            && self.everything.load(Ordering::SeqCst) == ticket.everything
    }

    /// Counts a change of one key; called before its copy is removed.
    pub(crate) fn changed(&self, stored: &[u8]) {
        self.lanes[self.lane(stored)].fetch_add(1, Ordering::SeqCst);
    }

    /// Counts a change of unknown extent; called under the locks under which all copies are removed.
    pub(crate) fn changed_all(&self) {
        self.everything.fetch_add(1, Ordering::SeqCst);
    }

    fn lane(&self, stored: &[u8]) -> usize {
        let mut hasher = self.hasher.build_hasher();
        stored.hash(&mut hasher);
        usize::try_from(std::hash::Hasher::finish(&hasher) % LANES as u64).expect("below the number of lanes")
    }
}
