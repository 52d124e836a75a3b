//! How long the last reads took.

use std::time::Duration;

/// Buckets to a doubling; a bucket is at most 19 % wide.
const STEPS: u32 = 4;
/// 1 µs to 2^24 µs, which is above any deadline that is worth a hedge.
const BUCKETS: usize = 24 * STEPS as usize;
/// After so many reads the older ones count half.
const HALF_LIFE: u32 = 1024;
/// Reads before anything is said.
const LEAST: u32 = 100;

/// A histogram of latencies in which older ones fade. Pure.
#[derive(Debug)]
pub(super) struct Latencies {
    counts: [u32; BUCKETS],
    sum: u32,
    since: u32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum: 0, since: 0 }
    }
}

impl Latencies {
    pub(super) fn note(&mut self, took: Duration) {
        self.counts[bucket(took)] += 1;
        self.sum += 1;
        self.since += 1;
        if self.since == HALF_LIFE {
            self.since = 0;
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.sum = self.counts.iter().sum();
        }
    }

    /// Returns what 95 % of the last reads took at most, rounded up to a bucket; none before there were enough.
    pub(super) fn p95(&self) -> Option<Duration> {
        if self.sum < LEAST {
            return None;
        }
        let (mut seen, wanted) = (0, self.sum - self.sum / 20);
        let at = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        at.map(upper)
    }
}

fn bucket(took: Duration) -> usize {
    let micros = took.as_micros().max(1) as f64;
    let at = (micros.log2() * f64::from(STEPS)) as usize;
    at.min(BUCKETS - 1)
}

fn upper(bucket: usize) -> Duration {
    let micros = ((bucket + 1) as f64 / f64::from(STEPS)).exp2();
    Duration::from_micros(micros.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_nineteen_of_twenty_took() {
        let mut latencies = Latencies::default();
        for n in 0..99 {
            latencies.note(Duration::from_micros(n));
        }
        assert_eq!(latencies.p95(), None);
        let mut latencies = Latencies::default();
        for n in 1..=1000 {
            latencies.note(Duration::from_micros(n * 10));
        }
        let p95 = latencies.p95().unwrap().as_micros();
        assert!((9500..11_500).contains(&p95), "{p95}");
    }

    #[test]
    fn it_follows_what_reads_take_now() {
        let mut latencies = Latencies::default();
        (0..10_000).for_each(|_| latencies.note(Duration::from_millis(50)));
        assert!(latencies.p95().unwrap() >= Duration::from_millis(50));
        (0..10_000).for_each(|_| latencies.note(Duration::from_millis(1)));
        assert!(latencies.p95().unwrap() < Duration::from_millis(2));
    }

    #[test]
    fn no_latency_is_out_of_bounds() {
        let mut latencies = Latencies::default();
        for _ in 0..100 {
            latencies.note(Duration::MAX);
            latencies.note(Duration::ZERO);
        }
        assert!(latencies.p95().unwrap() > Duration::from_secs(10));
    }
}
