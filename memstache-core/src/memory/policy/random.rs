//! Any entry.

use std::fmt;

use super::{EvictionPolicy, RemovalCause, SlotId};
use crate::memory::slab::Column;

/// Evicts any entry, each with the same chance.
///
/// Good when all entries are worth the same, and when keys are read in turns that do not fit, where orders by age or by
/// use get no hit at all (Belady, [A study of replacement algorithms for a virtual-storage computer], 1966): nobody can
/// arrange accesses against it who does not know the seed. Bad when there are favourites, which leave as often as the
/// rest. Every call names another victim; an update changes nothing.
///
/// Numbers are SplitMix64's (Steele, Lea and Flood, [Fast splittable pseudorandom number generators], OOPSLA 2014),
/// brought into range by a multiplication, whose bias is less than 2⁻³². Not for secrets.
///
/// Every operation takes constant time, inserts amortised; a hit does nothing. Eight bytes an entry, up to four more as
/// the array of residents grows by doubling.
///
/// [A study of replacement algorithms for a virtual-storage computer]: https://doi.org/10.1147/sj.52.0078
/// [Fast splittable pseudorandom number generators]: https://doi.org/10.1145/2660193.2660195
pub struct Random {
    residents: Vec<SlotId>,
    /// One more than where in `residents` a slot is; 0 if it is not.
    places: Column<u32>,
    state: u64,
}

impl Random {
    /// Creates an empty policy; the same seed and the same calls give the same victims.
    pub const fn new(seed: u64) -> Self {
        Self { residents: Vec::new(), places: Column::new(), state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").field("residents", &self.residents.len()).finish_non_exhaustive()
    }
}

impl EvictionPolicy for Random {
    fn record_insert(&mut self, slot: SlotId, _: u64, _: usize) {
        self.residents.push(slot);
        *self.places.at(slot.0) = self.residents.len() as u32;
    }

    fn record_access(&self, _: SlotId, _: u64) {}

    fn record_remove(&mut self, slot: SlotId, _: u64, _: RemovalCause) {
        let place = std::mem::take(self.places.at(slot.0));
        if place == 0 {
            return;
        }
        self.residents.swap_remove(place as usize - 1);
        if let Some(moved) = self.residents.get(place as usize - 1) {
            *self.places.at(moved.0) = place;
        }
    }

    fn select_victim(&mut self) -> Option<SlotId> {
        let at = (u128::from(self.next()) * self.residents.len() as u128) >> 64;
        self.residents.get(at as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::policy::testing::{Anyone, check, hammer, steps};

    proptest! {
        #[test]
        fn evicts_residents(steps in steps(), seed in any::<u64>()) {
            check(Random::new(seed), Anyone::default(), steps)?;
        }
    }

    #[test]
    fn everybody_has_the_same_chance() {
        const ENTRIES: usize = 50;
        const DRAWS: usize = 100_000;
        let mut random = Random::new(7);
        for slot in 0..2 * ENTRIES as u32 {
            random.record_insert(SlotId(slot), 0, 1);
        }
        // Holes everywhere, so that positions and slots differ.
        for slot in (0..2 * ENTRIES as u32).step_by(2) {
            random.record_remove(SlotId(slot), 0, RemovalCause::Removed);
        }
        let mut drawn = [0usize; 2 * ENTRIES];
        for _ in 0..DRAWS {
            drawn[random.select_victim().unwrap().index()] += 1;
        }
        let expected = (DRAWS / ENTRIES) as f64;
        let chi: f64 = drawn.iter().skip(1).step_by(2).map(|n| (*n as f64 - expected).powi(2) / expected).sum();
        assert!(chi < 95.0, "49 degrees of freedom, one in ten thousand: {chi}");
        assert_eq!(drawn.iter().sum::<usize>(), DRAWS);
        assert!(drawn.iter().step_by(2).all(|n| *n == 0));
    }

    #[test]
    fn a_seed_gives_the_same_victims_again() {
        let victims = |seed| {
            let mut random = Random::new(seed);
            (0..1000).for_each(|slot| random.record_insert(SlotId(slot), 0, 1));
            (0..20).map(|_| random.select_victim().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(victims(1), victims(1));
        assert_ne!(victims(1), victims(2));
    }

    #[test]
    fn survives_many_readers() {
        hammer(Random::new(1));
    }
}
