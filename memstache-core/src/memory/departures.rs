//! Why entries went: remembered in bounded space, for explanations.

/// Cells at least and at most; and bytes of the shard's share for each.
const LEAST: usize = 128;
const MOST: usize = 4096;
const BYTES_PER_CELL: usize = 512;
/// Bits of a cell that say why.
const CAUSE: u32 = 3;

/// Why an entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    Evicted = 1,
    Expired,
    Removed,
    Tag,
    Cleared,
}

/// What is known of a key that is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// It never went, so it never was here.
    Never,
    Went(Departure),
    /// Another key took its place in the memory, if it had one.
    Forgotten,
}

/// The last departures of a table: a direct-mapped array of fingerprints, four bytes each.
///
/// A key shares its 32 bits of hash with one in four thousand million others, which would be taken for it.
pub(crate) struct Departures {
    /// A fingerprint over why; zero if nothing ever went by.
    cells: Box<[u32]>,
}

impl Departures {
    /// Makes room by the share of the table, in bytes.
    pub(crate) fn new(share: usize) -> Self {
        let cells = (share / BYTES_PER_CELL).clamp(LEAST, MOST);
        Self { cells: vec![0; 1 << cells.ilog2()].into() }
    }

    /// Remembers why an entry went.
    #[inline]
    pub(crate) fn note(&mut self, hash: u32, why: Departure) {
        let at = self.at(hash);
        self.cells[at] = self.mark(hash) | why as u32;
    }

    /// Returns what is known of a key that is not held.
    pub(crate) fn of(&self, hash: u32) -> Past {
        let cell = self.cells[self.at(hash)];
        if cell == 0 {
            return Past::Never;
        }
        if cell >> CAUSE << CAUSE != self.mark(hash) {
            return Past::Forgotten;
        }
        let known = [Departure::Evicted, Departure::Expired, Departure::Removed, Departure::Tag, Departure::Cleared];
        known.into_iter().find(|why| *why as u32 == cell & ((1 << CAUSE) - 1)).map_or(Past::Forgotten, Past::Went)
    }

    fn at(&self, hash: u32) -> usize {
        hash as usize & (self.cells.len() - 1)
    }

    /// The bits of the hash that the cell's place does not say.
    fn mark(&self, hash: u32) -> u32 {
        // There are 128 cells or more, so at least seven bits are free.
        hash >> self.cells.len().trailing_zeros() << CAUSE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn why() -> impl Strategy<Value = Departure> {
        prop_oneof![
            Just(Departure::Evicted),
            Just(Departure::Expired),
            Just(Departure::Removed),
            Just(Departure::Tag),
            Just(Departure::Cleared)
        ]
    }

    proptest! {
        #[test]
        fn what_is_said_is_true(went in prop::collection::vec((0..600u32, why()), 0..300), share in 0..1usize << 24) {
            // Spread over all bits, so that places and marks both differ.
            let hash = |key: u32| key.wrapping_mul(0x9e37_79b9);
            let mut departures = Departures::new(share);
            let mut last = HashMap::new();
            for (key, why) in went {
                departures.note(hash(key), why);
                last.insert(key, why);
            }
            for key in 0..600 {
                match departures.of(hash(key)) {
                    Past::Never => prop_assert!(!last.contains_key(&key)),
                    Past::Went(why) => prop_assert_eq!(last.get(&key), Some(&why)),
                    Past::Forgotten => {}
                }
            }
        }
    }

    #[test]
    fn the_room_is_a_small_part_of_the_share() {
        let bytes = |share| Departures::new(share).cells.len() * 4;
        assert_eq!(bytes(0), 512);
        assert_eq!(bytes(1 << 20), 8192);
        assert_eq!(bytes(1 << 40), 16_384);
    }

    #[test]
    fn the_last_one_is_remembered_and_another_takes_its_place() {
        let mut departures = Departures::new(0);
        assert_eq!(departures.of(7), Past::Never);
        departures.note(7, Departure::Evicted);
        departures.note(7, Departure::Tag);
        assert_eq!(departures.of(7), Past::Went(Departure::Tag));
        departures.note(7 + (1 << 7), Departure::Removed);
        assert_eq!(departures.of(7), Past::Forgotten);
    }
}
