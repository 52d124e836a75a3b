//! Which keys are read most, in bounded room; pure.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi: "Efficient Computation of Frequent and Top-k Elements in Data Streams", ICDT 2005):
//! so many counters; a key without one takes over the smallest, and what stood there is its error from then on. A key that makes
//! up more than one part in so many of all reads has a counter for certain, and no count is too high by more than that part.
//!
//! Reads count less the longer ago they were: half after each half-life. Instead of making every counter smaller as time passes,
//! what comes later weighs more (Cormode, Shkapenyuk, Srivastava, Xu: "Forward Decay", ICDE 2009).

use std::{collections::HashMap, hash::Hash, time::Duration};

use memstache_core::Tick;

/// After so many half-lives the weights are made small again: far below the largest number.
const RESCALE: f64 = 256.0;

/// The keys that are read most, with decayed counts.
pub(crate) struct Sketch<K> {
    slots: Vec<Slot<K>>,
    places: HashMap<K, usize>,
    /// Slots with the smallest weight first: a binary heap.
    heap: Vec<usize>,
    capacity: usize,
    half_life: f64,
    /// When a read weighed one.
    landmark: Tick,
}

struct Slot<K> {
    key: K,
    weight: f64,
    /// How much of the weight may be others'.
    error: f64,
    /// Where it is in the heap.
    at: usize,
}

/// What is known of a key: decayed counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Count {
    /// So many reads at least.
    pub(crate) least: f64,
    /// So many reads at most.
    pub(crate) most: f64,
}

impl<K: Clone + Eq + Hash> Sketch<K> {
    /// Keeps so many keys, at least one; reads count half after each half-life.
    pub(crate) fn new(capacity: usize, half_life: Duration) -> Self {
        Self {
            slots: Vec::new(),
            places: HashMap::new(),
            heap: Vec::new(),
            capacity: capacity.max(1),
            half_life: half_life.as_secs_f64() * 1000.0,
            landmark: Tick::from_millis(0),
        }
    }

    /// Counts so many reads of a key, and returns what is known of it now.
    pub(crate) fn add(&mut self, key: &K, reads: f64, now: Tick) -> Count {
        let scale = self.scale(now);
        let weight = reads * scale;
        let slot = match self.places.get(key) {
            Some(slot) => *slot,
            None if self.slots.len() < self.capacity => self.push(key),
            None => self.take_over(key),
        };
        self.slots[slot].weight += weight;
        self.sink(self.slots[slot].at);
        self.slots[slot].count(scale)
    }

    /// Returns the keys that are read most, the first first.
    pub(crate) fn top(&mut self, most: usize, now: Tick) -> Vec<(K, Count)> {
        let scale = self.scale(now);
        let mut all: Vec<&Slot<K>> = self.slots.iter().collect();
        all.sort_by(|a, b| (b.weight - b.error).total_cmp(&(a.weight - a.error)));
        all.into_iter().take(most).map(|slot| (slot.key.clone(), slot.count(scale))).collect()
    }

    /// Returns what one read weighs now.
    fn scale(&mut self, now: Tick) -> f64 {
        let passed = now.as_millis().saturating_sub(self.landmark.as_millis()) as f64 / self.half_life;
        if passed <= RESCALE {
            return passed.exp2();
        }
        let smaller = (-passed).exp2();
        for slot in &mut self.slots {
            slot.weight *= smaller;
            slot.error *= smaller;
        }
        self.landmark = now;
        1.0
    }

    fn push(&mut self, key: &K) -> usize {
        let (slot, at) = (self.slots.len(), self.heap.len());
        self.slots.push(Slot { key: key.clone(), weight: 0.0, error: 0.0, at });
        self.heap.push(slot);
        self.places.insert(key.clone(), slot);
        self.rise(at);
        slot
    }

    /// Gives the smallest counter to a key.
    fn take_over(&mut self, key: &K) -> usize {
        let slot = self.heap[0];
        let taken = &mut self.slots[slot];
        self.places.remove(&taken.key);
        taken.key = key.clone();
        taken.error = taken.weight;
        self.places.insert(key.clone(), slot);
        slot
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 && self.weight_at(at) < self.weight_at((at - 1) / 2) {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let children = (2 * at + 1)..(2 * at + 3).min(self.heap.len());
            let Some(least) = children.min_by(|a, b| self.weight_at(*a).total_cmp(&self.weight_at(*b))) else { return };
            if self.weight_at(at) <= self.weight_at(least) {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }

    fn weight_at(&self, at: usize) -> f64 {
        self.slots[self.heap[at]].weight
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.slots[self.heap[a]].at = a;
        self.slots[self.heap[b]].at = b;
    }
}

impl<K> Slot<K> {
    fn count(&self, scale: f64) -> Count {
        Count { least: (self.weight - self.error) / scale, most: self.weight / scale }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF_LIFE: Duration = Duration::from_secs(3);

    fn tick(millis: u64) -> Tick {
        Tick::from_millis(millis)
    }

    /// Remembers every read.
    #[derive(Default)]
    struct Oracle(Vec<(u32, u64)>);

    impl Oracle {
        fn counts(&self, now: u64) -> HashMap<u32, f64> {
            let mut counts = HashMap::new();
            for (key, at) in &self.0 {
                *counts.entry(*key).or_default() += (-((now - at) as f64) / HALF_LIFE.as_millis() as f64).exp2();
            }
            counts
        }
    }

    /// Draws keys by Zipf's law with this exponent.
    fn zipf(keys: usize, exponent: f64) -> impl FnMut(&mut fastrand::Rng) -> u32 {
        let mut sums: Vec<f64> = Vec::with_capacity(keys);
        for rank in 1..=keys {
            sums.push(sums.last().unwrap_or(&0.0) + (rank as f64).powf(-exponent));
        }
        move |rng| {
            let drawn = rng.f64() * sums[keys - 1];
            sums.partition_point(|sum| *sum <= drawn) as u32
        }
    }

    proptest! {
        #[test]
        fn bounds_hold_and_whoever_is_heavy_is_there(
            reads in prop::collection::vec((0..40_u32, 0..2_000_u64), 1..400), capacity in 1..30_usize,
        ) {
            let (mut sketch, mut oracle, mut now) = (Sketch::new(capacity, HALF_LIFE), Oracle::default(), 0);
            for (key, later) in reads {
                now += later;
                sketch.add(&key, 1.0, tick(now));
                oracle.0.push((key, now));
            }
            let counts = oracle.counts(now);
            let all: f64 = counts.values().sum();
            let top = sketch.top(usize::MAX, tick(now));
            prop_assert!(top.len() <= capacity && sketch.places.len() == top.len());
            let close = |a: f64, b: f64| a <= b + 1e-6 * all.max(1.0);
            for (key, count) in &top {
                prop_assert!(close(count.least, counts[key]) && close(counts[key], count.most));
                prop_assert!(close(count.most - count.least, all / capacity as f64));
            }
            for (key, count) in counts {
                let known = top.iter().any(|(known, _)| *known == key);
                prop_assert!(known || close(count, all / capacity as f64), "{key} with {count} of {all} is missing");
            }
            prop_assert!(top.windows(2).all(|two| two[0].1.least >= two[1].1.least), "the first first");
        }
    }

    #[test]
    fn the_head_of_a_zipf_stream_is_found_in_a_hundredth_of_the_room() {
        let (mut sketch, mut draw, mut rng) =
            (Sketch::new(1000, HALF_LIFE), zipf(100_000, 1.0), fastrand::Rng::with_seed(7));
        let mut oracle = Oracle::default();
        for n in 0..300_000_u64 {
            let key = draw(&mut rng);
            sketch.add(&key, 1.0, tick(n / 50));
            oracle.0.push((key, n / 50));
        }
        let mut expected: Vec<(u32, f64)> = oracle.counts(6_000).into_iter().collect();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        let top = sketch.top(50, tick(6_000));
        let found = expected[..50].iter().filter(|(key, _)| top.iter().any(|(known, _)| known == key)).count();
        assert!(found >= 48, "{found} of 50");
        for ((key, count), (known, exact)) in top.iter().zip(&expected).take(10) {
            assert_eq!(key, known);
            assert!((count.least / exact - 1.0).abs() < 0.1, "{key}: {count:?} of {exact}");
        }
    }

    #[test]
    fn a_hot_set_that_moves_is_followed_within_seconds() {
        let mut sketch = Sketch::new(200, HALF_LIFE);
        let (mut draw, mut rng) = (zipf(100_000, 0.8), fastrand::Rng::with_seed(7));
        for millis in 0..60_000_u64 {
            let set = 1_000_000 + (millis / 10_000) as u32 * 100;
            for _ in 0..10 {
                // Half of the reads are of ten keys, others each ten seconds.
                let key = if rng.bool() { set + rng.u32(..10) } else { draw(&mut rng) };
                sketch.add(&key, 1.0, tick(millis));
            }
            let of_set = |sketch: &mut Sketch<u32>| {
                sketch.top(10, tick(millis)).iter().filter(|(key, _)| (set..set + 10).contains(key)).count()
            };
            if millis % 10_000 == 4_000 {
                assert_eq!(of_set(&mut sketch), 10, "four seconds after it moved, at {millis} ms");
                let (_, first) = sketch.top(1, tick(millis))[0];
                let rate = first.least * std::f64::consts::LN_2 / HALF_LIFE.as_secs_f64();
                assert!((200.0..700.0).contains(&rate), "{rate} reads a second are on the way to 500");
            }
        }
    }

    #[test]
    fn years_pass_and_numbers_stay_numbers() {
        let mut sketch = Sketch::new(4, HALF_LIFE);
        for year in 0..100_u64 {
            for key in 0..8_u32 {
                let count = sketch.add(&key, f64::from(u32::MAX), tick(year * 31_557_600_000 + u64::from(key)));
                assert!(count.least.is_finite() && count.most >= f64::from(u32::MAX) * 0.99, "{count:?}");
            }
        }
        // Half an hour is more than can be told, and less than a rescale away.
        let mut slow = Sketch::new(4, HALF_LIFE);
        slow.add(&1_u32, 1.0, tick(0));
        assert!(slow.top(4, tick(HALF_LIFE.as_millis() as u64 * 200))[0].1.most < 1e-30);
    }
}
