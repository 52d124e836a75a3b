//! Runs a contestant over drawn operations, and takes the time.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;

use crate::{contestants::Contestant, keys::Keys, stats, zipf::Zipf};

/// Every so many operations one is timed by itself. Not a power of two: caches do their housekeeping every 64 reads or
/// so, and would be met always or never.
const SAMPLED: usize = 37;
/// The part of the operations that comes first and is not counted.
const WARM_UP: usize = 10;

/// A read or a write of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op(u32);

impl Op {
    fn new(key: u32, put: bool) -> Self {
        Self(key << 1 | u32::from(put))
    }

    fn key(self) -> u32 {
        self.0 >> 1
    }

    fn is_put(self) -> bool {
        self.0 & 1 == 1
    }
}

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) zipf: Zipf,
    /// In percent.
    pub(crate) puts: u32,
}

/// The operations of one round, for each thread its own.
#[derive(Debug)]
pub(crate) struct Plan(Vec<Vec<Op>>);

impl Plan {
    /// Draws `ops` operations for all threads together, others for each seed, and some more to warm up.
    pub(crate) fn draw(mix: Mix, threads: usize, ops: usize, seed: u64) -> Self {
        let each = ops / threads;
        let thread = |number: u64| {
            let mut rng = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number));
            let mut op = || Op::new(mix.zipf.draw(&mut rng), rng.u32(..100) < mix.puts);
            (0..each + each / WARM_UP).map(|_| op()).collect()
        };
        Self((0..threads as u64).map(thread).collect())
    }
}

/// What one round of one contestant came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Millions of operations a second, of all threads together.
    pub(crate) mops: f64,
    /// Nanoseconds.
    pub(crate) p50: f64,
    /// Nanoseconds.
    pub(crate) p99: f64,
    /// Percent of the reads.
    pub(crate) hits: f64,
}

/// A [`Contestant`] of whatever type.
pub(crate) trait Runner: Send {
    /// Reads each key, and stores those that are missing.
    fn read_through(&mut self, keys: &Keys, wanted: &mut dyn Iterator<Item = u32>);
    fn round(&mut self, keys: &Keys, plan: &Plan) -> Round;
    fn note(&self) -> Option<String>;
}

impl<C: Contestant> Runner for C {
    fn read_through(&mut self, keys: &Keys, wanted: &mut dyn Iterator<Item = u32>) {
        for key in wanted.map(|key| keys.text(key)) {
            if black_box(self.get(key)).is_none() {
                self.put(key);
            }
        }
        self.settle();
    }

    fn round(&mut self, keys: &Keys, plan: &Plan) -> Round {
        let start = Barrier::new(plan.0.len());
        let tallies: Vec<_> = thread::scope(|scope| {
            let spawn = |ops| {
                let mut contestant = self.clone();
                let start = &start;
                scope.spawn(move || drive(&mut contestant, keys, ops, start))
            };
            let threads: Vec<_> = plan.0.iter().map(Vec::as_slice).map(spawn).collect();
            threads.into_iter().map(|thread| thread.join().expect("a contestant does not panic")).collect()
        });
        sum_up(&tallies)
    }

    fn note(&self) -> Option<String> {
        Contestant::note(self)
    }
}

/// What one thread saw.
struct Tally {
    started: Instant,
    ended: Instant,
    ops: usize,
    gets: usize,
    hits: usize,
    /// Nanoseconds of the sampled operations.
    samples: Vec<u32>,
}

fn drive(contestant: &mut impl Contestant, keys: &Keys, ops: &[Op], start: &Barrier) -> Tally {
    let mut gets = 0;
    let mut hits = 0;
    let mut apply = |op: Op| {
        let key = keys.text(op.key());
        if op.is_put() {
            contestant.put(key);
        } else {
            gets += 1;
            hits += usize::from(black_box(contestant.get(key)).is_some());
        }
    };
    let (warm, ops) = ops.split_at(ops.len() / (WARM_UP + 1));
    warm.iter().for_each(|op| apply(*op));
    let mut samples = Vec::with_capacity(ops.len() / SAMPLED + 1);
    start.wait();
    let started = Instant::now();
    for ops in ops.chunks(SAMPLED) {
        let alone = Instant::now();
        apply(ops[0]);
        samples.push(nanos(alone.elapsed()));
        ops[1..].iter().for_each(|op| apply(*op));
    }
    Tally { started, ended: Instant::now(), ops: ops.len(), gets, hits, samples }
}

fn sum_up(tallies: &[Tally]) -> Round {
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>() as f64;
    let started = tallies.iter().map(|tally| tally.started).min();
    let ended = tallies.iter().map(|tally| tally.ended).max();
    let took = started.zip(ended).map_or(Duration::ZERO, |(started, ended)| ended - started);
    let mut samples: Vec<_> = tallies.iter().flat_map(|tally| tally.samples.iter().copied()).collect();
    samples.sort_unstable();
    Round {
        mops: sum(|tally| tally.ops) / took.as_secs_f64() / 1e6,
        p50: f64::from(stats::quantile(&samples, 0.5)),
        p99: f64::from(stats::quantile(&samples, 0.99)),
        hits: 100.0 * sum(|tally| tally.hits) / sum(|tally| tally.gets),
    }
}

fn nanos(time: Duration) -> u32 {
    u32::try_from(time.as_nanos()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Set(Arc<Mutex<HashSet<String>>>);

    impl Contestant for Set {
        type Value = ();

        fn get(&mut self, key: &str) -> Option<()> {
            self.0.lock().unwrap().contains(key).then_some(())
        }

        fn put(&mut self, key: &str) {
            self.0.lock().unwrap().insert(key.to_owned());
        }
    }

    fn mix(puts: u32) -> Mix {
        Mix { zipf: Zipf::new(100, 0.99), puts }
    }

    #[test]
    fn a_plan_has_new_draws_for_each_seed_and_thread() {
        let plan = |seed| Plan::draw(mix(5), 2, 2_000, seed);
        assert_eq!(plan(1).0, plan(1).0);
        assert_ne!(plan(1).0, plan(2).0);
        assert_ne!(plan(1).0[0], plan(1).0[1]);
        assert_eq!(plan(1).0[0].len(), 1_100, "a tenth more, to warm up");
    }

    #[test]
    fn a_plan_has_its_share_of_writes() {
        let puts = |percent| Plan::draw(mix(percent), 1, 20_000, 1).0[0].iter().filter(|op| op.is_put()).count();
        assert_eq!(puts(0), 0);
        assert!((900..1_300).contains(&puts(5)), "{}", puts(5));
        assert!((10_500..11_500).contains(&puts(50)), "{}", puts(50));
    }

    #[test]
    fn a_filled_contestant_only_hits() {
        let keys = Keys::new(Keys::SHORT, 100);
        let mut set = Set::default();
        set.read_through(&keys, &mut (0..100));
        let round = set.round(&keys, &Plan::draw(mix(0), 3, 3_000, 1));
        assert_eq!(round.hits, 100.0);
        assert!(round.mops > 0.0 && round.p50 <= round.p99);
    }
}
