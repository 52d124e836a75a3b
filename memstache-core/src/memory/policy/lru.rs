//! Least recently used.

use std::fmt;

use parking_lot::Mutex;

use super::{
    EvictionPolicy, RemovalCause, SlotId,
    list::{Links, Queue},
};

/// Evicts the entry that was not used for the longest time.
///
/// Good when what was used lately is used again: sessions, pages of one user. Bad when more is read once, or in turns,
/// than fits: a scan pushes everything out. With twice the room it misses less than twice as often as the best order that
/// knows what comes: Sleator and Tarjan, [Amortized efficiency of list update and paging rules] (CACM 1985).
///
/// One thread gets the exact order. Readers side by side never wait for each other: a hit that comes while another one
/// is put in order is passed over, and its entry keeps its place.
///
/// Every operation takes constant time; a hit takes a lock that it does not wait for. Eight bytes an entry.
///
/// [Amortized efficiency of list update and paging rules]: https://doi.org/10.1145/2786.2793
pub struct Lru {
    order: Mutex<Order>,
}

struct Order {
    links: Links,
    queue: Queue,
}

impl Lru {
    /// Creates an empty list.
    pub const fn new() -> Self {
        Self { order: Mutex::new(Order { links: Links::new(), queue: Queue::new() }) }
    }
}

impl Order {
    fn renew(&mut self, slot: SlotId) {
        if self.links.contains(slot) {
            self.queue.renew(&mut self.links, slot);
        }
    }
}

impl Default for Lru {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lru {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lru").finish_non_exhaustive()
    }
}

impl EvictionPolicy for Lru {
    fn record_insert(&mut self, slot: SlotId, _: u64, _: usize) {
        let order = self.order.get_mut();
        order.queue.push(&mut order.links, slot);
    }

    fn record_access(&self, slot: SlotId, _: u64) {
        if let Some(mut order) = self.order.try_lock() {
            order.renew(slot);
        }
    }

    fn record_update(&mut self, slot: SlotId, _: u64, _: usize) {
        self.order.get_mut().renew(slot);
    }

    fn record_remove(&mut self, slot: SlotId, _: u64, _: RemovalCause) {
        let order = self.order.get_mut();
        if order.links.contains(slot) {
            order.queue.remove(&mut order.links, slot);
        }
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        self.order.get_mut().queue.oldest()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::policy::testing::{Model, check, hammer, steps};

    /// When each entry was used last.
    #[derive(Default)]
    struct Naive {
        used: Vec<(u32, usize)>,
        now: usize,
    }

    impl Model for Naive {
        fn insert(&mut self, slot: u32, _: u64, _: usize) {
            self.now += 1;
            self.used.push((slot, self.now));
        }
        fn access(&mut self, slot: u32, _: u64) {
            self.now += 1;
            self.used.iter_mut().filter(|(held, _)| *held == slot).for_each(|(_, used)| *used = self.now);
        }
        fn remove(&mut self, slot: u32, _: RemovalCause) {
            self.used.retain(|(held, _)| *held != slot);
        }
        fn victims(&mut self) -> Vec<u32> {
            self.used.iter().min_by_key(|(_, used)| *used).map(|(slot, _)| *slot).into_iter().collect()
        }
    }

    proptest! {
        #[test]
        fn evicts_what_was_used_longest_ago(steps in steps()) {
            check(Lru::new(), Naive::default(), steps)?;
        }
    }

    #[test]
    fn a_hit_waits_for_nobody() {
        let mut lru = Lru::new();
        lru.record_insert(SlotId(0), 0, 1);
        lru.record_insert(SlotId(1), 1, 1);
        let held = lru.order.lock();
        lru.record_access(SlotId(0), 0);
        drop(held);
        assert_eq!(lru.select_victim(), Some(SlotId(0)), "passed over");
        lru.record_access(SlotId(0), 0);
        assert_eq!(lru.select_victim(), Some(SlotId(1)));
    }

    #[test]
    fn survives_many_readers() {
        hammer(Lru::new());
    }
}
