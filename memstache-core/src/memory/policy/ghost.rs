//! Which entries were here lately.

use std::{collections::VecDeque, hash::BuildHasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Remembers the fingerprints of the last entries that went, in a window of bounded length.
///
/// A fingerprint is here while fewer than a bound of others came after it, as in the ghost table of S3-FIFO
/// (Yang et al., SOSP 2023). One that is taken back keeps its place in the window until its time is over.
///
/// A fingerprint takes four bytes of window and five of table, and up to thirty in all with the room that both keep
/// free: in a table that is more than half full, places of what went make it double once. Neither shrinks. Every
/// operation takes constant amortised time. Two entries share a fingerprint with a chance of 2⁻³² for each one held:
/// then an entry is taken for another, which costs nothing but a worse guess.
pub(crate) struct Ghost {
    /// Oldest first.
    window: VecDeque<u32>,
    /// The sequence of the oldest in the window; wraps around.
    first: u32,
    /// The sequences of those that were not taken back, each fingerprint once.
    table: HashTable<u32>,
    state: RandomState,
}

impl Ghost {
    pub(crate) fn new() -> Self {
        Self { window: VecDeque::new(), first: 0, table: HashTable::new(), state: RandomState::default() }
    }

    /// Returns the fingerprint of an entry.
    pub(crate) const fn fingerprint(hash: u64) -> u32 {
        // Both halves: which bits choose the shard, and are the same for all entries here, is not known.
        (hash ^ (hash >> 32)) as u32
    }

    /// Remembers a fingerprint; the owner trims.
    pub(crate) fn push(&mut self, print: u32) {
        let sequence = self.first.wrapping_add(self.window.len() as u32);
        self.window.push_back(print);
        let Self { window, first, table, state } = self;
        let print_of = |held: &u32| window[held.wrapping_sub(*first) as usize];
        match table.find_mut(state.hash_one(print), |held| print_of(held) == print) {
            Some(held) => *held = sequence,
            None => {
                table.insert_unique(state.hash_one(print), sequence, |held| state.hash_one(print_of(held)));
            }
        }
    }

    /// Forgets a fingerprint; returns whether it was here.
    pub(crate) fn take(&mut self, print: u32) -> bool {
        let Self { window, first, table, state } = self;
        let same = |held: &u32| window[held.wrapping_sub(*first) as usize] == print;
        table.find_entry(state.hash_one(print), same).map(|found| found.remove()).is_ok()
    }

    /// Forgets all but the last `bound`.
    pub(crate) fn trim(&mut self, bound: usize) {
        while self.window.len() > bound
            && let Some(print) = self.window.pop_front()
        {
            let sequence = self.first;
            self.first = self.first.wrapping_add(1);
            if let Ok(found) = self.table.find_entry(self.state.hash_one(print), |held| *held == sequence) {
                found.remove();
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.window.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn remembers_the_last(
            first in prop_oneof![Just(0), u32::MAX - 50..=u32::MAX],
            steps in prop::collection::vec((0..3u8, 0..40u32, 0..30usize), 0..500),
        ) {
            let mut ghost = Ghost { first, ..Ghost::new() };
            let mut naive: Vec<Option<u32>> = Vec::new();
            for (what, print, bound) in steps {
                match what {
                    0 => {
                        naive.iter_mut().filter(|held| **held == Some(print)).for_each(|held| *held = None);
                        naive.push(Some(print));
                        ghost.push(print);
                    }
                    1 => {
                        let held = naive.iter_mut().find(|held| **held == Some(print));
                        prop_assert_eq!(ghost.take(print), held.map(|held| *held = None).is_some());
                    }
                    _ => {
                        naive.drain(..naive.len().saturating_sub(bound));
                        ghost.trim(bound);
                    }
                }
                prop_assert_eq!(ghost.len(), naive.len());
                prop_assert_eq!(ghost.table.len(), naive.iter().flatten().count());
            }
        }
    }

    #[test]
    fn memory_is_bounded_by_the_bound() {
        let mut ghost = Ghost::new();
        for print in 0..1_000_000u32 {
            ghost.push(print.wrapping_mul(0x9e37_79b9));
            ghost.trim(1000);
            ghost.take(print.wrapping_sub(500).wrapping_mul(0x9e37_79b9));
        }
        assert!(ghost.window.capacity() <= 2048, "{}", ghost.window.capacity());
        assert!(ghost.table.capacity() <= 4096, "{}", ghost.table.capacity());
    }
}
