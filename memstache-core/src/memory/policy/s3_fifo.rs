//! Three queues: a small one for newcomers, a main one, and a ghost.

use std::{
    fmt,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use super::{
    EvictionPolicy, RemovalCause, SlotId,
    ghost::Ghost,
    list::{Links, Queue},
};
use crate::memory::slab::Column;

/// The small queue has one part in so many of the weight.
const SMALL_SHARE: u64 = 10;

/// The bits of a state that count uses.
const USES: u8 = 0b0011;
/// The bits of a state that tell the queue; none for a slot that is in neither.
const SMALL: u8 = 0b0100;
const MAIN: u8 = 0b1000;

/// Evicts newcomers that were not used twice, and else the entry that was not used since its last turn.
///
/// Newcomers pass a small queue, a tenth of the weight. At its end those with two hits go to the main queue; the others
/// go, and leave a fingerprint in the ghost. Who comes back while it is there enters the main queue at once. The main
/// queue gives an entry one more turn for each hit, three at most: Yang et al., [FIFO queues are all you need for cache
/// eviction] (SOSP 2023).
///
/// Good for most workloads, and where many keys are used once: a scan only passes the small queue; a hit writes one byte
/// at most. Bad when keys come back once, soon after they have left the small queue, and when the popular
/// ones change as fast as they pass it. Weights count for the size of the small queue only: a large entry is not worth
/// less. The tenth is of what the shard holds, so nothing must be told of its capacity.
///
/// Every operation takes constant time, victims amortised: each step either promotes a newcomer, once in its life, or
/// uses up a hit. A single call can take four steps for each entry, if all were used. Seventeen bytes an entry, and
/// from fifteen to thirty for a ghost; there are at most nine ghosts for ten entries, which is what the main queue holds
/// when weights are even. Weights count up to 4 GiB.
///
/// [FIFO queues are all you need for cache eviction]: https://doi.org/10.1145/3600006.3613147
pub struct S3Fifo {
    links: Links,
    entries: Column<Entry>,
    /// Queue and uses. A hit may be lost to one at the same time; only calls with `&mut self` change the queue.
    states: Column<AtomicU8>,
    small: Queue,
    main: Queue,
    small_weight: u64,
    weight: u64,
    len: usize,
    ghost: Ghost,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    print: u32,
    weight: u32,
}

impl S3Fifo {
    /// Creates an empty policy.
    pub fn new() -> Self {
        Self {
            links: Links::new(),
            entries: Column::new(),
            states: Column::new(),
            small: Queue::new(),
            main: Queue::new(),
            small_weight: 0,
            weight: 0,
            len: 0,
            ghost: Ghost::new(),
        }
    }

    /// Returns the entry that the small queue should let go, if it has its share.
    fn outgoing(&self) -> Option<SlotId> {
        let due = self.small_weight.saturating_mul(SMALL_SHARE) >= self.weight;
        self.small.oldest().filter(|_| due)
    }

    fn promote(&mut self, slot: SlotId) {
        self.small_weight -= u64::from(self.entries.at(slot.0).weight);
        self.small.remove(&mut self.links, slot);
        self.main.push(&mut self.links, slot);
        *self.states.at(slot.0).get_mut() = MAIN;
    }

    /// Returns how many entries the main queue holds at its nine tenths.
    fn ghosts(&self) -> usize {
        self.len - self.len.div_ceil(SMALL_SHARE as usize)
    }
}

fn clamped(weight: usize) -> u32 {
    // What weighs nothing would fill the small queue for ever.
    u32::try_from(weight).unwrap_or(u32::MAX).max(1)
}

impl Default for S3Fifo {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for S3Fifo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Fifo")
            .field("len", &self.len)
            .field("weight", &self.weight)
            .field("small_weight", &self.small_weight)
            .finish_non_exhaustive()
    }
}

impl EvictionPolicy for S3Fifo {
    fn record_insert(&mut self, slot: SlotId, hash: u64, weight: usize) {
        let entry = Entry { print: Ghost::fingerprint(hash), weight: clamped(weight) };
        *self.entries.at(slot.0) = entry;
        self.len += 1;
        self.weight += u64::from(entry.weight);
        let state = self.states.at(slot.0).get_mut();
        if self.ghost.take(entry.print) {
            *state = MAIN;
            self.main.push(&mut self.links, slot);
        } else {
            *state = SMALL;
            self.small.push(&mut self.links, slot);
            self.small_weight += u64::from(entry.weight);
        }
    }

    fn record_access(&self, slot: SlotId, _: u64) {
        if let Some(state) = self.states.get(slot.0) {
            let held = state.load(Relaxed);
            if held & USES < USES {
                state.store(held + 1, Relaxed);
            }
        }
    }

    fn record_update(&mut self, slot: SlotId, hash: u64, weight: usize) {
        if !self.links.contains(slot) {
            return;
        }
        let new = clamped(weight);
        let old = std::mem::replace(&mut self.entries.at(slot.0).weight, new);
        self.weight = self.weight - u64::from(old) + u64::from(new);
        if *self.states.at(slot.0).get_mut() & SMALL != 0 {
            self.small_weight = self.small_weight - u64::from(old) + u64::from(new);
        }
        self.record_access(slot, hash);
    }

    fn record_remove(&mut self, slot: SlotId, _: u64, cause: RemovalCause) {
        if !self.links.contains(slot) {
            return;
        }
        let Entry { print, weight } = *self.entries.at(slot.0);
        let state = std::mem::take(self.states.at(slot.0).get_mut());
        if state & SMALL != 0 {
            self.small.remove(&mut self.links, slot);
            self.small_weight -= u64::from(weight);
        } else {
            self.main.remove(&mut self.links, slot);
        }
        if state & SMALL != 0 && cause == RemovalCause::Evicted {
            self.ghost.push(print);
        }
        // This one still counted: as a rule another takes its place.
        self.ghost.trim(self.ghosts());
        self.len -= 1;
        self.weight -= u64::from(weight);
    }

    fn worth(&mut self, slot: SlotId) -> u32 {
        u32::from(*self.states.at(slot.0).get_mut() & (USES | MAIN))
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        loop {
            if let Some(slot) = self.outgoing() {
                if *self.states.at(slot.0).get_mut() & USES < 2 {
                    return Some(slot);
                }
                self.promote(slot);
                continue;
            }
            let slot = self.main.oldest()?;
            let state = self.states.at(slot.0).get_mut();
            if *state & USES == 0 {
                return Some(slot);
            }
            *state -= 1;
            self.main.renew(&mut self.links, slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::policy::{
        Lru,
        testing::{Model, Sim, check, hammer, hash, steps},
    };

    /// The paper's algorithm over vectors, oldest first; sums are made anew each time.
    #[derive(Default)]
    struct Naive {
        small: Vec<Held>,
        main: Vec<Held>,
        ghost: Vec<Option<u64>>,
    }

    #[derive(Clone)]
    struct Held {
        slot: u32,
        hash: u64,
        weight: u128,
        uses: u8,
    }

    impl Naive {
        fn all(&mut self) -> impl Iterator<Item = &mut Held> {
            self.small.iter_mut().chain(&mut self.main)
        }
    }

    impl Model for Naive {
        fn insert(&mut self, slot: u32, hash: u64, weight: usize) {
            let held = Held { slot, hash, weight: weight.clamp(1, u32::MAX as usize) as u128, uses: 0 };
            match self.ghost.iter_mut().find(|ghost| **ghost == Some(hash)) {
                Some(ghost) => {
                    *ghost = None;
                    self.main.push(held);
                }
                None => self.small.push(held),
            }
        }
        fn access(&mut self, slot: u32, _: u64) {
            self.all().filter(|held| held.slot == slot).for_each(|held| held.uses = (held.uses + 1).min(3));
        }
        fn update(&mut self, slot: u32, hash: u64, weight: usize) {
            let weight = weight.clamp(1, u32::MAX as usize) as u128;
            self.all().filter(|held| held.slot == slot).for_each(|held| held.weight = weight);
            self.access(slot, hash);
        }
        fn remove(&mut self, slot: u32, cause: RemovalCause) {
            let bound = (self.small.len() + self.main.len()) * 9 / 10;
            if cause == RemovalCause::Evicted {
                self.ghost.extend(self.small.iter().filter(|held| held.slot == slot).map(|held| Some(held.hash)));
            }
            while self.ghost.len() > bound {
                self.ghost.remove(0);
            }
            self.small.retain(|held| held.slot != slot);
            self.main.retain(|held| held.slot != slot);
        }
        fn victims(&mut self) -> Vec<u32> {
            while !self.small.is_empty() || !self.main.is_empty() {
                let total: u128 = self.all().map(|held| held.weight).sum();
                let small: u128 = self.small.iter().map(|held| held.weight).sum();
                let from_small = !self.small.is_empty() && (self.main.is_empty() || small * 10 >= total);
                let mut held = if from_small { self.small[0].clone() } else { self.main[0].clone() };
                match (from_small, held.uses) {
                    (true, 0 | 1) | (false, 0) => return vec![held.slot],
                    (true, _) => {
                        self.small.remove(0);
                        held.uses = 0;
                    }
                    (false, _) => {
                        self.main.remove(0);
                        held.uses -= 1;
                    }
                }
                self.main.push(held);
            }
            Vec::new()
        }
    }

    proptest! {
        #[test]
        fn evicts_as_the_paper_says(steps in steps()) {
            check(S3Fifo::new(), Naive::default(), steps)?;
        }
    }

    #[test]
    fn a_scan_passes_and_favourites_stay() {
        let mut s3 = Sim::new(S3Fifo::new(), 100);
        let mut lru = Sim::new(Lru::new(), 100);
        for _ in 0..4 {
            s3.get_all(0..50);
            lru.get_all(0..50);
        }
        s3.get_all(1000..1500);
        lru.get_all(1000..1500);
        assert_eq!(lru.get_all(0..50), 0);
        assert_eq!(s3.get_all(0..50), 50);
    }

    #[test]
    fn who_comes_back_soon_enters_the_main_queue() {
        let mut sim = Sim::new(S3Fifo::new(), 100);
        sim.get_all(0..150);
        assert_eq!(sim.residents(0..50), 0);
        sim.get_all(0..40);
        sim.get_all(1000..1500);
        assert_eq!(sim.residents(0..40), 40, "a scan does not reach them");
    }

    #[test]
    fn what_was_removed_or_expired_leaves_no_ghost() {
        let mut s3 = S3Fifo::new();
        for (cause, ghosts) in [(RemovalCause::Removed, 0), (RemovalCause::Expired, 0), (RemovalCause::Evicted, 1)] {
            (0..20).for_each(|slot| s3.record_insert(SlotId(slot), hash(slot.into()), 1));
            s3.record_remove(SlotId(7), 0, cause);
            assert_eq!(s3.ghost.len(), ghosts);
            (0..20).for_each(|slot| s3.record_remove(SlotId(slot), 0, RemovalCause::Removed));
            assert_eq!(s3.ghost.len(), 0, "bounded by what is held");
        }
        assert_eq!((s3.len, s3.weight, s3.small_weight), (0, 0, 0));
    }

    #[test]
    fn the_small_queue_is_a_tenth_of_the_weight() {
        let mut s3 = S3Fifo::new();
        // Ten entries of 90 in the main queue, then light ones.
        (0..10).for_each(|slot| s3.record_insert(SlotId(slot), hash(slot.into()), 90));
        (0..20).for_each(|n| s3.record_access(SlotId(n % 10), 0));
        assert_eq!(s3.select_victim(), Some(SlotId(0)));
        (10..19).for_each(|slot| s3.record_insert(SlotId(slot), hash(slot.into()), 11));
        assert_eq!(s3.select_victim(), Some(SlotId(0)), "99 of 999 is less than a tenth");
        s3.record_update(SlotId(18), hash(18), 12);
        assert_eq!(s3.select_victim(), Some(SlotId(10)), "100 of 1000 is one");
    }

    #[test]
    fn survives_many_readers() {
        hammer(S3Fifo::new());
    }
}
