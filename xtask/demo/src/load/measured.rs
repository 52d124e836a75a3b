//! What came of a load.

use std::{collections::HashSet, time::Duration};

use anyhow::{Error, Result};

use super::client::Answer;

/// What one client has seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    latencies: Vec<Duration>,
    asked: HashSet<usize>,
    from_cache: u64,
    errors: u64,
    first_error: Option<Error>,
}

/// What all clients have seen.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<Error>,
    /// Answers that came from the cache, stale ones included.
    pub(crate) from_cache: u64,
    /// Products that were asked for, by their rank.
    pub(crate) asked: HashSet<usize>,
    pub(crate) elapsed: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Tally {
    pub(super) fn note(&mut self, rank: usize, latency: Duration, answer: Result<Answer>) {
        self.asked.insert(rank);
        self.latencies.push(latency);
        match answer {
            Ok(answer) => self.from_cache += u64::from(answer.cache == "hit" || answer.cache == "stale"),
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.asked.extend(other.asked);
        self.from_cache += other.from_cache;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    pub(super) fn measured(mut self, elapsed: Duration) -> Measured {
        self.latencies.sort_unstable();
        Measured {
            requests: self.latencies.len() as u64,
            errors: self.errors,
            first_error: self.first_error,
            from_cache: self.from_cache,
            asked: self.asked,
            elapsed,
            p50: percentile(&self.latencies, 0.50),
            p99: percentile(&self.latencies, 0.99),
        }
    }
}

impl Measured {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

/// The smallest value that so many of the sorted ones do not exceed.
pub(crate) fn percentile(sorted: &[Duration], part: f64) -> Duration {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let millis: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&millis, 0.50), Duration::from_millis(50));
        assert_eq!(percentile(&millis, 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&millis[..1], 0.99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn clients_add_up() {
        let answer =
            |cache: &str| Ok(Answer { status: 200, cache: cache.to_owned(), retry_after: None, body: Vec::new() });
        let (mut one, mut two) = (Tally::default(), Tally::default());
        one.note(1, Duration::ZERO, answer("hit"));
        one.note(2, Duration::ZERO, answer("miss"));
        two.note(2, Duration::ZERO, answer("stale"));
        two.note(3, Duration::ZERO, Err(anyhow!("first")));
        two.note(3, Duration::ZERO, Err(anyhow!("second")));
        one.add(two);
        let all = one.measured(Duration::from_secs(5));
        assert_eq!((all.requests, all.from_cache, all.errors, all.asked.len()), (5, 2, 2, 3));
        assert_eq!(all.first_error.unwrap().to_string(), "first");
    }
}
