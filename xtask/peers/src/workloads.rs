//! Requests that nobody recorded: made here, the same in every run.

use fastrand::Rng;

use crate::zipf::Zipf;

const SEED: u64 = 0x6d65_6d73;

/// What a workload is like; the marks differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// Recorded from a real system
    Real,
    /// Loops and scans
    Loops,
    /// Made by a generator
    Synthetic,
}

impl Group {
    pub(crate) const ALL: [Self; 3] = [Self::Real, Self::Loops, Self::Synthetic];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Real => "real traces",
            Self::Loops => "loops and scans",
            Self::Synthetic => "synthetic loads",
        }
    }
}

/// A generator of requests.
pub(crate) struct Generator {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    /// Makes about so many requests.
    pub(crate) make: fn(usize) -> Vec<u64>,
}

/// All generators, in the order of the tables.
pub(crate) const GENERATORS: &[Generator] = &[
    Generator { name: "zipf 0.8", group: Group::Synthetic, make: |requests| zipf(requests, 0.8) },
    Generator { name: "zipf 0.99", group: Group::Synthetic, make: |requests| zipf(requests, 0.99) },
    Generator { name: "scans in zipf", group: Group::Synthetic, make: scans },
    Generator { name: "shifting hot set", group: Group::Synthetic, make: shifting },
    Generator { name: "loop", group: Group::Loops, make: looping },
];

/// A third as many keys as requests, at most a million.
fn universe(requests: usize) -> u32 {
    (requests / 3).clamp(1, 1_000_000) as u32
}

fn zipf(requests: usize, exponent: f64) -> Vec<u64> {
    let zipf = Zipf::new(universe(requests), exponent);
    let mut rng = Rng::with_seed(SEED);
    (0..requests).map(|_| u64::from(zipf.draw(&mut rng))).collect()
}

/// Stretches of Zipf 0.99, and between them stretches of keys that come once.
fn scans(requests: usize) -> Vec<u64> {
    let stretch = (requests / 300).max(1);
    let drawn = zipf(requests, 0.99);
    let once = |at: usize| u64::from(universe(requests)) + at as u64;
    (0..requests).map(|at| if (at / stretch).is_multiple_of(2) { drawn[at] } else { once(at) }).collect()
}

/// Zipf 0.99 whose most popular keys are others in each tenth.
fn shifting(requests: usize) -> Vec<u64> {
    let keys = u64::from(universe(requests));
    let tenth = (requests / 10).max(1);
    let shifted = |(at, rank): (usize, u64)| (rank + (at / tenth) as u64 * (keys / 10)) % keys;
    zipf(requests, 0.99).into_iter().enumerate().map(shifted).collect()
}

/// Twenty times around.
fn looping(requests: usize) -> Vec<u64> {
    let keys = (requests / 20).max(1) as u64;
    (0..requests as u64).map(|at| at % keys).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn distinct(keys: &[u64]) -> usize {
        keys.iter().collect::<HashSet<_>>().len()
    }

    #[test]
    fn every_generator_makes_what_is_asked_and_the_same_again() {
        for generator in GENERATORS {
            for requests in [1, 1_000, 30_000] {
                let made = (generator.make)(requests);
                assert_eq!(made.len(), requests, "{}", generator.name);
                assert_eq!(made, (generator.make)(requests), "{}", generator.name);
            }
        }
    }

    #[test]
    fn a_loop_goes_around_twenty_times() {
        let made = looping(2_000);
        assert_eq!((distinct(&made), &made[..100]), (100, &made[1_900..]));
    }

    #[test]
    fn half_of_the_scans_come_once() {
        let made = scans(30_000);
        let scanned: Vec<_> = made.iter().filter(|key| **key >= 10_000).copied().collect();
        assert_eq!((scanned.len(), distinct(&scanned)), (15_000, 15_000));
    }

    #[test]
    fn the_hot_key_shifts() {
        let made = shifting(30_000);
        let hot = |part: &[u64]| (0..10_000).max_by_key(|key| part.iter().filter(|it| *it == key).count());
        assert_eq!(hot(&made[..3_000]), Some(0));
        assert_eq!(hot(&made[3_000..6_000]), Some(1_000));
    }
}
