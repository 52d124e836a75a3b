//! How long changes take to be told.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper ends of the buckets, in ms; the last one has none.
const BOUNDS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000];

#[derive(Debug, Default)]
pub(super) struct Lag {
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

impl Lag {
    pub(super) fn note(&self, lag: Duration) {
        let millis = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().position(|bound| millis <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[at].fetch_add(1, Relaxed);
    }

    pub(super) fn snapshot(&self) -> LagHistogram {
        LagHistogram { counts: std::array::from_fn(|at| self.buckets[at].load(Relaxed)) }
    }
}

/// How long canaries took from a server and back: the lag of the stream of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LagHistogram {
    counts: [u64; BOUNDS.len() + 1],
}

impl LagHistogram {
    /// Returns each bucket's upper end and its count; the last one has no end.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let ends = BOUNDS.iter().map(|bound| Some(Duration::from_millis(*bound))).chain([None]);
        ends.zip(self.counts.iter().copied())
    }

    /// Returns how many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_falls_into_one_bucket() {
        let lag = Lag::default();
        for millis in [0, 1, 2, 3, 5_000] {
            lag.note(Duration::from_millis(millis));
        }
        let counts: Vec<_> = lag.snapshot().buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(lag.snapshot().count(), 5);
        assert_eq!(lag.snapshot().buckets().last().unwrap().0, None);
    }
}
