//! Least recently used.

use std::fmt;

use parking_lot::Mutex;

use super::{EvictionPolicy, RemovalCause, SlotId};
use crate::memory::slab::Column;

const NONE: u32 = u32::MAX;

/// Evicts the entry that was not used for the longest time.
pub struct Lru(Mutex<List>);

struct List {
    links: Column<Link>,
    newest: u32,
    oldest: u32,
}

#[derive(Clone, Copy)]
struct Link {
    newer: u32,
    older: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { newer: NONE, older: NONE }
    }
}

impl List {
    fn push(&mut self, slot: u32) {
        let older = std::mem::replace(&mut self.newest, slot);
        *self.links.at(slot) = Link { newer: NONE, older };
        match older {
            NONE => self.oldest = slot,
            older => self.links.at(older).newer = slot,
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Link { newer, older } = *self.links.at(slot);
        match newer {
            NONE => self.newest = older,
            newer => self.links.at(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.links.at(older).newer = newer,
        }
    }
}

impl Lru {
    /// Creates an empty list.
    pub const fn new() -> Self {
        Self(Mutex::new(List { links: Column::new(), newest: NONE, oldest: NONE }))
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
        self.0.get_mut().push(slot.0);
    }

    fn record_access(&self, slot: SlotId, _: u64) {
        let Some(mut list) = self.0.try_lock() else { return };
        if list.newest != slot.0 {
            list.unlink(slot.0);
            list.push(slot.0);
        }
    }

    fn record_remove(&mut self, slot: SlotId, _: RemovalCause) {
        self.0.get_mut().unlink(slot.0);
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        let oldest = self.0.get_mut().oldest;
        (oldest != NONE).then_some(SlotId(oldest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Use(u32),
        Remove(u32),
        Evict,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..300u32).prop_map(Step::Use),
            1 => (0..300u32).prop_map(Step::Remove),
            1 => Just(Step::Evict),
        ]
    }

    proptest! {
        #[test]
        fn evicts_like_a_naive_list(steps in prop::collection::vec(step(), 0..1000)) {
            let mut lru = Lru::new();
            let mut naive: Vec<u32> = Vec::new();
            for step in steps {
                match step {
                    Step::Use(slot) => {
                        match naive.iter().position(|held| *held == slot) {
                            Some(at) => {
                                naive.remove(at);
                                lru.record_access(SlotId(slot), 0);
                            }
                            None => lru.record_insert(SlotId(slot), 0, 1),
                        }
                        naive.push(slot);
                    }
                    Step::Remove(slot) => {
                        if let Some(at) = naive.iter().position(|held| *held == slot) {
                            naive.remove(at);
                            lru.record_remove(SlotId(slot), RemovalCause::Removed);
                        }
                    }
                    Step::Evict => {
                        let victim = lru.select_victim();
                        prop_assert_eq!(victim.map(|slot| slot.0), naive.first().copied());
                        if let Some(victim) = victim {
                            naive.remove(0);
                            lru.record_remove(victim, RemovalCause::Evicted);
                        }
                    }
                }
                prop_assert_eq!(lru.select_victim().map(|slot| slot.0), naive.first().copied());
            }
        }
    }
}
