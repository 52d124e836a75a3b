//! Doubly linked queues of slots, any number of them over the same links.

use super::SlotId;
use crate::memory::slab::Column;

/// No slot: the end of a queue.
const NONE: u32 = u32::MAX;
/// Not in any queue.
const OUT: u32 = u32::MAX - 1;

/// The neighbours of every slot: eight bytes each.
///
/// A slot is in one queue at a time, and its owner knows in which.
pub(crate) struct Links(Column<Link>);

#[derive(Clone, Copy)]
struct Link {
    newer: u32,
    older: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self { newer: OUT, older: OUT }
    }
}

impl Links {
    pub(crate) const fn new() -> Self {
        Self(Column::new())
    }

    /// Returns whether a slot is in a queue.
    pub(crate) fn contains(&self, slot: SlotId) -> bool {
        self.get(slot.0).newer != OUT
    }

    /// Returns the slot that came next after one in its queue.
    pub(crate) fn newer(&self, slot: SlotId) -> Option<SlotId> {
        slot_of(self.get(slot.0).newer)
    }

    fn get(&self, slot: u32) -> Link {
        self.0.get(slot).copied().unwrap_or_default()
    }
}

/// The two ends of a queue; what is between them is in [`Links`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue {
    newest: u32,
    oldest: u32,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self { newest: NONE, oldest: NONE }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.oldest == NONE
    }

    pub(crate) fn oldest(self) -> Option<SlotId> {
        slot_of(self.oldest)
    }

    /// Puts a slot in that is in no queue.
    pub(crate) fn push(&mut self, links: &mut Links, slot: SlotId) {
        debug_assert!(!links.contains(slot), "a slot is in one queue at a time");
        let older = std::mem::replace(&mut self.newest, slot.0);
        *links.0.at(slot.0) = Link { newer: NONE, older };
        match older {
            NONE => self.oldest = slot.0,
            older => links.0.at(older).newer = slot.0,
        }
    }

    /// Takes a slot out that is in this queue.
    pub(crate) fn remove(&mut self, links: &mut Links, slot: SlotId) {
        debug_assert!(links.contains(slot), "only what is in can go");
        let Link { newer, older } = std::mem::take(links.0.at(slot.0));
        match newer {
            NONE => self.newest = older,
            newer => links.0.at(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => links.0.at(older).newer = newer,
        }
    }

    /// Makes a slot of this queue its newest.
    pub(crate) fn renew(&mut self, links: &mut Links, slot: SlotId) {
        if self.newest != slot.0 {
            self.remove(links, slot);
            self.push(links, slot);
        }
    }
}

fn slot_of(raw: u32) -> Option<SlotId> {
    (raw < OUT).then_some(SlotId(raw))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_queues_share_links(steps in prop::collection::vec((0..3usize, 0..200u32), 0..600)) {
            let mut links = Links::new();
            let mut queues = [Queue::new(); 2];
            let mut naive = [Vec::new(), Vec::new()];
            for (at, slot) in steps {
                let held = naive.iter().position(|queue| queue.contains(&slot));
                prop_assert_eq!(links.contains(SlotId(slot)), held.is_some());
                match (held, at) {
                    (None, 0 | 1) => {
                        queues[at].push(&mut links, SlotId(slot));
                        naive[at].push(slot);
                    }
                    (None, _) => {}
                    (Some(held), _) => {
                        naive[held].retain(|other| *other != slot);
                        if at == 2 {
                            queues[held].renew(&mut links, SlotId(slot));
                            naive[held].push(slot);
                        } else {
                            queues[held].remove(&mut links, SlotId(slot));
                        }
                    }
                }
                for (queue, naive) in queues.iter().zip(&naive) {
                    prop_assert_eq!(queue.is_empty(), naive.is_empty());
                    prop_assert_eq!(slot_of(queue.newest).map(|slot| slot.0), naive.last().copied());
                    let walk = std::iter::successors(queue.oldest(), |slot| links.newer(*slot));
                    prop_assert!(walk.map(|slot| slot.0).eq(naive.iter().copied()));
                }
            }
        }
    }
}
