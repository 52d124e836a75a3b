//! Lazy promotion and quick demotion by one bit and a hand.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{
    EvictionPolicy, RemovalCause, SlotId,
    list::{Links, Queue},
};
use crate::memory::slab::Column;

/// Evicts an entry that was not used since a hand came by.
///
/// Entries stand in the order in which they came. A hit sets a bit; the hand goes from the oldest to the newest, clears
/// bits, and evicts the first entry without. As survivors keep their places, new ones that are never used go soon:
/// Zhang et al., [SIEVE is simpler than LRU] (NSDI 2024).
///
/// Good for the web's skewed popularity, for scans of keys that are read once, and for many readers: a hit writes one
/// byte at most. Bad when every key is used twice in short order and then never again, and when what is popular changes
/// faster than the hand goes round.
///
/// Every operation takes constant time, victims amortised: a step of the hand clears a bit that a hit has set. A single
/// call can take a step for each entry, if all were used. Nine bytes an entry.
///
/// [SIEVE is simpler than LRU]: https://www.usenix.org/conference/nsdi24/presentation/zhang-yazhuo
pub struct Sieve {
    links: Links,
    queue: Queue,
    used: Column<AtomicBool>,
    /// Where to look next; `None` is the oldest.
    hand: Option<SlotId>,
}

impl Sieve {
    /// Creates an empty sieve.
    pub const fn new() -> Self {
        Self { links: Links::new(), queue: Queue::new(), used: Column::new(), hand: None }
    }
}

impl Default for Sieve {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sieve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sieve").finish_non_exhaustive()
    }
}

impl EvictionPolicy for Sieve {
    fn record_insert(&mut self, slot: SlotId, _: u64, _: usize) {
        self.queue.push(&mut self.links, slot);
        *self.used.at(slot.0).get_mut() = false;
    }

    fn record_access(&self, slot: SlotId, _: u64) {
        // Looked at first: a line that is only read stays in every processor's cache.
        if let Some(used) = self.used.get(slot.0)
            && !used.load(Relaxed)
        {
            used.store(true, Relaxed);
        }
    }

    fn record_remove(&mut self, slot: SlotId, _: u64, _: RemovalCause) {
        if !self.links.contains(slot) {
            return;
        }
        if self.hand == Some(slot) {
            self.hand = self.links.newer(slot);
        }
        self.queue.remove(&mut self.links, slot);
    }

    fn worth(&mut self, slot: SlotId) -> u32 {
        u32::from(*self.used.at(slot.0).get_mut())
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        let mut at = self.hand.or_else(|| self.queue.oldest())?;
        while std::mem::take(self.used.at(at.0).get_mut()) {
            at = self.links.newer(at).or_else(|| self.queue.oldest())?;
        }
        self.hand = Some(at);
        self.hand
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::policy::{
        Lru,
        testing::{Model, Sim, check, hammer, steps},
    };

    /// The paper's figure over a vector, oldest first.
    #[derive(Default)]
    struct Naive {
        entries: Vec<(u32, bool)>,
        hand: usize,
    }

    impl Model for Naive {
        fn insert(&mut self, slot: u32, _: u64, _: usize) {
            // A hand past the newest starts over, even if somebody newer comes meanwhile.
            if self.hand == self.entries.len() {
                self.hand = 0;
            }
            self.entries.push((slot, false));
        }
        fn access(&mut self, slot: u32, _: u64) {
            self.entries.iter_mut().filter(|(held, _)| *held == slot).for_each(|(_, used)| *used = true);
        }
        fn remove(&mut self, slot: u32, _: RemovalCause) {
            let at = self.entries.iter().position(|(held, _)| *held == slot).unwrap();
            self.entries.remove(at);
            self.hand -= usize::from(at < self.hand);
        }
        fn victims(&mut self) -> Vec<u32> {
            while !self.entries.is_empty() {
                self.hand %= self.entries.len();
                let (slot, used) = &mut self.entries[self.hand];
                if !*used {
                    return vec![*slot];
                }
                *used = false;
                self.hand += 1;
            }
            Vec::new()
        }
    }

    proptest! {
        #[test]
        fn evicts_as_the_paper_says(steps in steps()) {
            check(Sieve::new(), Naive::default(), steps)?;
        }
    }

    #[test]
    fn a_scan_passes_and_favourites_stay() {
        let kept = |hits: usize| hits as f64 / 50.0;
        let mut sieve = Sim::new(Sieve::new(), 100);
        let mut lru = Sim::new(Lru::new(), 100);
        for _ in 0..3 {
            sieve.get_all(0..50);
            lru.get_all(0..50);
        }
        sieve.get_all(1000..1500);
        lru.get_all(1000..1500);
        assert_eq!(kept(lru.get_all(0..50)), 0.0);
        assert!(kept(sieve.get_all(0..50)) > 0.9);
    }

    #[test]
    fn a_victim_that_is_left_is_named_again_until_it_is_used() {
        let mut sieve = Sieve::new();
        (0..3).for_each(|slot| sieve.record_insert(SlotId(slot), 0, 1));
        assert_eq!(sieve.select_victim(), Some(SlotId(0)));
        assert_eq!(sieve.select_victim(), Some(SlotId(0)));
        sieve.record_access(SlotId(0), 0);
        assert_eq!(sieve.select_victim(), Some(SlotId(1)));
    }

    #[test]
    fn survives_many_readers() {
        hammer(Sieve::new());
    }
}
