//! A histogram of times that many threads add to at once.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::striped;

/// The upper bounds of the buckets, in nanoseconds; what is longer than all falls into one more.
pub(crate) const BOUNDS: [u64; 22] = {
    const US: u64 = 1_000;
    const MS: u64 = 1_000_000;
    const S: u64 = 1_000_000_000;
    [
        US,
        5 * US / 2,
        5 * US,
        10 * US,
        25 * US,
        50 * US,
        100 * US,
        250 * US,
        500 * US,
        MS,
        5 * MS / 2,
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        S,
        5 * S / 2,
        5 * S,
        10 * S,
    ]
};

/// Threads that add at the same time without waiting for each other's cache line.
const STRIPES: usize = 4;

/// Counts by bucket, and the sum of the times.
#[derive(Debug, Default)]
pub(super) struct Histogram([Stripe; STRIPES]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe {
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What a histogram holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Buckets {
    /// How many fell into each bucket; not those below it.
    pub(crate) counts: [u64; BOUNDS.len() + 1],
    pub(crate) sum: Duration,
}

impl Histogram {
    pub(super) fn record(&self, time: Duration) {
        // Not `as_nanos`: it multiplies 128 bits.
        let nanos = time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()));
        let stripe = &self.0[striped::own() % STRIPES];
        stripe.counts[BOUNDS.partition_point(|bound| *bound < nanos)].fetch_add(1, Relaxed);
        stripe.nanos.fetch_add(nanos, Relaxed);
    }

    pub(super) fn buckets(&self) -> Buckets {
        let mut buckets = Buckets::default();
        for stripe in &self.0 {
            let counts = buckets.counts.iter_mut().zip(&stripe.counts);
            counts.for_each(|(count, part)| *count += part.load(Relaxed));
            buckets.sum += Duration::from_nanos(stripe.nanos.load(Relaxed));
        }
        buckets
    }
}

impl Buckets {
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The bounds in seconds, as they are shown.
    pub(crate) fn bounds() -> impl Iterator<Item = f64> {
        BOUNDS.iter().map(|nanos| *nanos as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_within_its_bucket_and_nothing_is_lost_beyond_the_last() {
        let histogram = Histogram::default();
        let times = [0, 1_000, 1_001, 10_000_000_000, 10_000_000_001];
        times.map(Duration::from_nanos).into_iter().for_each(|time| histogram.record(time));
        let buckets = histogram.buckets();
        assert_eq!((buckets.counts[0], buckets.counts[1]), (2, 1));
        assert_eq!((buckets.counts[21], buckets.counts[22]), (1, 1));
        assert_eq!((buckets.count(), buckets.sum), (5, Duration::from_nanos(20_000_002_002)));
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
        assert_eq!(Buckets::bounds().next(), Some(1e-6));
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| histogram.record(Duration::from_micros(1))));
            }
        });
        let buckets = histogram.buckets();
        assert_eq!((buckets.counts[0], buckets.sum), (8000, Duration::from_millis(8)));
    }
}
