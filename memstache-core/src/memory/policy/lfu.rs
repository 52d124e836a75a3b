//! Least frequently used, with an age.

use std::fmt;

use parking_lot::Mutex;

use super::{
    EvictionPolicy, RemovalCause, SlotId,
    list::{Links, Queue},
};
use crate::memory::slab::Column;

/// One queue for each key that an entry may have at a time; as many as a bitmap word has bits.
const BUCKETS: u8 = 64;
/// Uses beyond this count no more, so that keys are less than [`BUCKETS`] apart.
const MOST: u8 = BUCKETS - 1;

/// Evicts the entry that was used least often, and lets old favourites leave.
///
/// This is LFU-DA, with dynamic aging (Arlitt et al., [Evaluating content management techniques for Web proxy caches],
/// 2000): an entry's key is the number of its uses plus the age of the cache when it was last used; the entry with the least
/// key goes, of several the one not used for longest, and the age becomes its key. So a newcomer counts as much as what
/// was just evicted and one more, and a favourite that nobody asks for any more is passed by the age: no counts are
/// halved. Uses count up to 63, so an old favourite goes after the rest of the cache was replaced 63 times at most.
///
/// Good when popularity is skewed and lasts, and for scans, which only evict each other. Bad when popularity moves on
/// quickly, and for new favourites that need several uses before they stand out.
///
/// As keys lie within 63 of the age, they are buckets in a ring, each a queue by recency (after Shah, Mitra and Matani,
/// [An O(1) algorithm for implementing the LFU cache eviction scheme], 2010), with a bitmap to find the first: every
/// operation takes constant time, at worst as well. A hit takes a lock that it does not wait for: one that comes while
/// another is put in order is passed over. Ten bytes an entry.
///
/// [Evaluating content management techniques for Web proxy caches]: https://doi.org/10.1145/346000.346003
/// [An O(1) algorithm for implementing the LFU cache eviction scheme]: http://dhruvbird.com/lfu.pdf
pub struct Lfu {
    order: Mutex<Order>,
}

struct Order {
    links: Links,
    entries: Column<Entry>,
    /// By key, modulo their number; boxed, as they are half a kilobyte.
    buckets: Box<[Queue; BUCKETS as usize]>,
    /// One bit a bucket: not empty.
    occupied: u64,
    /// Modulo the number of buckets, like all keys. No entry has a lower key.
    age: u8,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    uses: u8,
    key: u8,
}

impl Lfu {
    /// Creates an empty policy.
    pub fn new() -> Self {
        let order = Order {
            links: Links::new(),
            entries: Column::new(),
            buckets: Box::new([Queue::new(); BUCKETS as usize]),
            occupied: 0,
            age: 0,
        };
        Self { order: Mutex::new(order) }
    }
}

impl Order {
    fn put(&mut self, slot: SlotId, uses: u8) {
        let key = (self.age + uses) % BUCKETS;
        *self.entries.at(slot.0) = Entry { uses, key };
        self.buckets[usize::from(key)].push(&mut self.links, slot);
        self.occupied |= 1 << key;
    }

    fn take(&mut self, slot: SlotId, key: u8) {
        let bucket = &mut self.buckets[usize::from(key)];
        bucket.remove(&mut self.links, slot);
        if bucket.is_empty() {
            self.occupied &= !(1 << key);
        }
    }

    fn renew(&mut self, slot: SlotId) {
        if self.links.contains(slot) {
            let Entry { uses, key } = *self.entries.at(slot.0);
            self.take(slot, key);
            self.put(slot, (uses + 1).min(MOST));
        }
    }

    fn remove(&mut self, slot: SlotId) {
        if self.links.contains(slot) {
            let key = self.entries.at(slot.0).key;
            self.take(slot, key);
        }
    }

    /// Names the oldest of the least key; the age becomes that key.
    fn least(&mut self) -> Option<SlotId> {
        if self.occupied == 0 {
            return None;
        }
        let ahead = self.occupied.rotate_right(self.age.into()).trailing_zeros() as u8;
        self.age = (self.age + ahead) % BUCKETS;
        self.buckets[usize::from(self.age)].oldest()
    }
}

impl Default for Lfu {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lfu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lfu").finish_non_exhaustive()
    }
}

impl EvictionPolicy for Lfu {
    fn record_insert(&mut self, slot: SlotId, _: u64, _: usize) {
        self.order.get_mut().put(slot, 1);
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
        self.order.get_mut().remove(slot);
    }

    fn worth(&mut self, slot: SlotId) -> u32 {
        let order = self.order.get_mut();
        u32::from((order.entries.at(slot.0).key + BUCKETS - order.age) % BUCKETS)
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        self.order.get_mut().least()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::policy::testing::{Model, Sim, check, hammer, steps};

    /// The formula as it stands, with keys that never wrap.
    #[derive(Default)]
    struct Naive {
        entries: Vec<Counted>,
        age: u64,
        now: u64,
    }

    struct Counted {
        slot: u32,
        uses: u64,
        key: u64,
        used: u64,
    }

    impl Model for Naive {
        fn insert(&mut self, slot: u32, hash: u64, _: usize) {
            self.entries.push(Counted { slot, uses: 0, key: 0, used: 0 });
            self.access(slot, hash);
        }
        fn access(&mut self, slot: u32, _: u64) {
            self.now += 1;
            for entry in self.entries.iter_mut().filter(|entry| entry.slot == slot) {
                entry.uses = (entry.uses + 1).min(63);
                entry.key = self.age + entry.uses;
                entry.used = self.now;
            }
        }
        fn remove(&mut self, slot: u32, _: RemovalCause) {
            self.entries.retain(|entry| entry.slot != slot);
        }
        fn victims(&mut self) -> Vec<u32> {
            let least = self.entries.iter().min_by_key(|entry| (entry.key, entry.used));
            self.age = least.map_or(self.age, |entry| entry.key);
            least.map(|entry| entry.slot).into_iter().collect()
        }
    }

    proptest! {
        #[test]
        fn evicts_what_was_used_least(steps in steps()) {
            check(Lfu::new(), Naive::default(), steps)?;
        }

        #[test]
        fn counts_up_to_the_most(hits in prop::collection::vec((0..6u32, 0..100usize, any::<bool>()), 0..60)) {
            let (mut lfu, mut naive) = (Lfu::new(), Naive::default());
            for slot in 0..6 {
                lfu.record_insert(SlotId(slot), 0, 1);
                naive.insert(slot, 0, 1);
            }
            for (slot, times, replace) in hits {
                for _ in 0..times {
                    lfu.record_access(SlotId(slot), 0);
                    naive.access(slot, 0);
                }
                let victim = lfu.select_victim().unwrap();
                prop_assert_eq!(vec![victim.0], naive.victims());
                if replace {
                    lfu.record_remove(victim, 0, RemovalCause::Evicted);
                    naive.remove(victim.0, RemovalCause::Evicted);
                    lfu.record_insert(victim, 0, 1);
                    naive.insert(victim.0, 0, 1);
                }
            }
        }
    }

    #[test]
    fn favourites_outlive_a_scan() {
        let mut sim = Sim::new(Lfu::new(), 100);
        for _ in 0..5 {
            sim.get_all(0..50);
        }
        // The rest of the cache is replaced three times.
        sim.get_all(1000..1150);
        assert_eq!(sim.get_all(0..50), 50);
    }

    #[test]
    fn old_favourites_leave() {
        let mut sim = Sim::new(Lfu::new(), 100);
        for _ in 0..1000 {
            sim.get_all(0..90);
        }
        // Ten places are left for newcomers; each replacement of these makes the cache a year older.
        for round in 0..100 {
            let new = 1000 + round * 10;
            sim.get_all(new..new + 10);
        }
        assert_eq!(sim.residents(0..90), 0);
    }

    #[test]
    fn a_hit_waits_for_nobody() {
        let mut lfu = Lfu::new();
        lfu.record_insert(SlotId(0), 0, 1);
        lfu.record_insert(SlotId(1), 1, 1);
        let held = lfu.order.lock();
        lfu.record_access(SlotId(0), 0);
        drop(held);
        assert_eq!(lfu.select_victim(), Some(SlotId(0)), "passed over");
    }

    #[test]
    fn survives_many_readers() {
        hammer(Lfu::new());
    }
}
