//! First in, first out.

use std::fmt;

use super::{
    EvictionPolicy, RemovalCause, SlotId,
    list::{Links, Queue},
};

/// Evicts the entry that came in first: "time-based" eviction, by age.
///
/// A policy sees no deadlines, so there is no "soonest to expire": what is expired leaves by the store's timing wheel,
/// before anything is evicted. With one lifetime for all entries the oldest is the one that would expire soonest.
///
/// Good when age is what matters, as in feeds and logs, and for hits that must cost nothing. Bad for anything with
/// favourites, as they leave with the rest; more room can even mean fewer hits (Belady, Nelson and Shedler, [An anomaly
/// in space-time characteristics of certain programs running in a paging machine], CACM 1969). An update keeps the
/// entry's place.
///
/// Every operation takes constant time; a hit does nothing. Eight bytes an entry.
///
/// [An anomaly in space-time characteristics of certain programs running in a paging machine]:
///     https://doi.org/10.1145/363011.363155
pub struct Fifo {
    links: Links,
    queue: Queue,
}

impl Fifo {
    /// Creates an empty queue.
    pub const fn new() -> Self {
        Self { links: Links::new(), queue: Queue::new() }
    }
}

impl Default for Fifo {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Fifo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fifo").finish_non_exhaustive()
    }
}

impl EvictionPolicy for Fifo {
    fn record_insert(&mut self, slot: SlotId, _: u64, _: usize) {
        self.queue.push(&mut self.links, slot);
    }

    fn record_access(&self, _: SlotId, _: u64) {}

    fn record_remove(&mut self, slot: SlotId, _: u64, _: RemovalCause) {
        if self.links.contains(slot) {
            self.queue.remove(&mut self.links, slot);
        }
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        self.queue.oldest()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::policy::testing::{Model, check, hammer, steps};

    /// When each entry came.
    #[derive(Default)]
    struct Naive {
        came: Vec<(u32, usize)>,
        now: usize,
    }

    impl Model for Naive {
        fn insert(&mut self, slot: u32, _: u64, _: usize) {
            self.now += 1;
            self.came.push((slot, self.now));
        }
        fn access(&mut self, _: u32, _: u64) {}
        fn remove(&mut self, slot: u32, _: RemovalCause) {
            self.came.retain(|(held, _)| *held != slot);
        }
        fn victims(&mut self) -> Vec<u32> {
            self.came.iter().min_by_key(|(_, came)| *came).map(|(slot, _)| *slot).into_iter().collect()
        }
    }

    proptest! {
        #[test]
        fn evicts_what_came_first(steps in steps()) {
            check(Fifo::new(), Naive::default(), steps)?;
        }
    }

    #[test]
    fn survives_many_readers() {
        hammer(Fifo::new());
    }
}
