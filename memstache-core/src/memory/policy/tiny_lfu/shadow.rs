//! A miniature of the store: keys only, of a sample, under a division that does not change.

use super::slots::Samples;
use super::split::{Division, Split};

const FREE: u16 = u16::MAX;
/// The most keys that it can hold: their ids have to fit two bytes.
const MOST: usize = FREE as usize - 1;
/// How many keys go at most for one that comes.
const STEPS: usize = 3;

/// Simulates what the store would hit under a division.
pub(super) struct Shadow {
    split: Split<Samples>,
    /// Ids by fingerprint, open addressing; at least a quarter free.
    table: Vec<u16>,
    free: Vec<u16>,
}

impl Shadow {
    pub(super) fn new(division: Division) -> Self {
        Self { split: Split::new(division, Samples::default()), table: vec![FREE; 8], free: Vec::new() }
    }

    /// Returns whether a request hits; if not, the key is taken in.
    pub(super) fn request(&mut self, print: u32, capacity: usize) -> bool {
        let held = self.table[self.find(print)];
        if held != FREE {
            self.split.access(held.into());
            return true;
        }
        self.shrink(capacity.clamp(1, MOST) - 1);
        if (self.split.len() + 1) * 4 > self.table.len() * 3 {
            self.grow();
        }
        if self.split.len() < MOST {
            let slot = self.free.pop().unwrap_or_else(|| self.split.queues.slots.end() as u16);
            let at = self.find(print);
            self.table[at] = slot;
            self.split.queues.slots.set_print(slot.into(), print);
            self.split.insert(slot.into(), print, 1);
        }
        false
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let ids = self.table.capacity() + self.free.capacity();
        ids * size_of::<u16>() + self.split.queues.slots.bytes() + self.split.ghosts.bytes()
    }

    /// Drops what a sparser sample leaves out.
    pub(super) fn retain(&mut self, sampled: impl Fn(u32) -> bool) {
        for slot in 0..self.split.end {
            if self.split.holds(slot) && !sampled(self.print(slot)) {
                self.remove(slot, false);
            }
        }
        self.compact();
    }

    /// Gives the ids anew and frees what the sample took that was denser.
    fn compact(&mut self) {
        let ids = self.split.compact();
        let held = std::mem::take(&mut self.table);
        self.table = vec![FREE; self.split.len() + self.split.len() / 2 + 8];
        for slot in held.into_iter().filter(|slot| *slot != FREE) {
            let slot = ids[usize::from(slot)] as u16;
            let at = self.find(self.print(slot.into()));
            self.table[at] = slot;
        }
        self.free = (0..self.split.end).filter(|slot| !self.split.holds(*slot)).map(|slot| slot as u16).collect();
    }

    /// Makes room, in small steps: a store that lost most of its entries at once must not stop for it.
    fn shrink(&mut self, len: usize) {
        for _ in 0..STEPS {
            if self.split.len() <= len {
                return;
            }
            if let Some(victim) = self.split.victim() {
                self.remove(victim, true);
            }
        }
    }

    fn remove(&mut self, slot: u32, evicted: bool) {
        let print = self.print(slot);
        self.split.remove(slot, print, evicted);
        self.free.push(slot as u16);
        let mut hole = self.find(print);
        let mut at = hole;
        // Knuth's algorithm 6.4 R: what was pushed past the hole moves into it.
        loop {
            at = self.next(at);
            let held = self.table[at];
            if held == FREE {
                break;
            }
            let home = self.home(self.print(held.into()));
            if self.distance(home, at) >= self.distance(hole, at) {
                self.table[hole] = held;
                hole = at;
            }
        }
        self.table[hole] = FREE;
    }

    fn grow(&mut self) {
        let places = self.table.len() + self.table.len() / 4;
        let held = std::mem::replace(&mut self.table, vec![FREE; places]);
        for slot in held.into_iter().filter(|slot| *slot != FREE) {
            let at = self.find(self.print(slot.into()));
            self.table[at] = slot;
        }
    }

    /// Returns the place of a fingerprint, or the free one where it belongs.
    fn find(&self, print: u32) -> usize {
        let mut at = self.home(print);
        while self.table[at] != FREE && self.print(self.table[at].into()) != print {
            at = self.next(at);
        }
        at
    }

    fn print(&self, slot: u32) -> u32 {
        self.split.queues.slots.print(slot)
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.table.len() { 0 } else { at + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.table.len() - from }
    }

    fn home(&self, print: u32) -> usize {
        let spread = print.wrapping_mul(0x9e37_79b1);
        ((u64::from(spread) * self.table.len() as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::split::Admission;
    use super::*;

    proptest! {
        #[test]
        fn hits_like_one_with_a_plain_map(keys in prop::collection::vec(0..60u32, 0..2000), capacity in 1..40usize) {
            let division = Division { window: 400, admission: Admission::Frequency };
            let mut shadow = Shadow::new(division);
            let (mut split, mut slots) = (Split::new(division, Samples::default()), HashMap::new());
            for key in keys {
                // Many begin their search at the same place of the table.
                let print = key.wrapping_mul(0x1000_0000).rotate_left(key % 7);
                let held = slots.get(&print).copied();
                prop_assert_eq!(shadow.request(print, capacity), held.is_some());
                if let Some(slot) = held {
                    split.access(slot);
                    continue;
                }
                while slots.len() >= capacity {
                    let victim = split.victim().expect("there are some");
                    let print = slots.iter().find(|(_, slot)| **slot == victim).map_or(0, |(print, _)| *print);
                    prop_assert!(split.remove(victim, print, true));
                    slots.remove(&print);
                }
                let slot = (0..).find(|slot| !split.holds(*slot)).expect("ids do not end");
                split.insert(slot, print, 1);
                slots.insert(print, slot);
            }
        }

        #[test]
        fn a_sparser_sample_drops_the_others(keys in prop::collection::vec(any::<u32>(), 0..300)) {
            let mut shadow = Shadow::new(Division { window: 100, admission: Admission::SecondUse });
            for key in &keys {
                shadow.request(*key, 400);
            }
            shadow.retain(|key| key % 4 == 0);
            for key in keys {
                prop_assert_eq!(shadow.table[shadow.find(key)] != FREE, key % 4 == 0);
            }
        }
    }
}
