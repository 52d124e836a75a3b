//! Tasks that do one operation after the other.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;

use crate::stats::{self, Spread};

/// One operation in so many is timed by itself.
const SAMPLED: u64 = 7;

/// What one round of one contestant came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Thousands of operations a second; a batch is one.
    pub(crate) kops: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
}

/// What one task does.
pub(crate) trait Work: Send + 'static {
    /// Does one operation.
    fn once(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// Has so many tasks work for as long as `span`; each is given its number.
pub(crate) async fn round<W: Work>(tasks: usize, span: Duration, work: impl Fn(u64) -> W) -> Result<Round> {
    let over = Arc::new(AtomicBool::new(false));
    let mut running = JoinSet::new();
    let started = Instant::now();
    for number in 0..tasks as u64 {
        running.spawn(drive(work(number), Arc::clone(&over)));
    }
    tokio::time::sleep(span).await;
    over.store(true, Ordering::Relaxed);
    let mut tallies = Vec::new();
    while let Some(ended) = running.join_next().await {
        tallies.push(ended.context("a contestant panicked")??);
    }
    sum_up(&tallies, started.elapsed())
}

/// What one task saw: how many operations, and microseconds of the sampled ones.
type Tally = (u64, Vec<u32>);

async fn drive(mut work: impl Work, over: Arc<AtomicBool>) -> Result<Tally> {
    let (mut count, mut samples) = (0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        work.once().await?;
        if u64::is_multiple_of(count, SAMPLED) {
            samples.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        count += 1;
    }
    Ok((count, samples))
}

fn sum_up(tallies: &[Tally], took: Duration) -> Result<Round> {
    let count: u64 = tallies.iter().map(|(count, _)| count).sum();
    ensure!(count > 0, "nothing was done in the time");
    let mut samples: Vec<_> = tallies.iter().flat_map(|(_, samples)| samples.iter().copied()).collect();
    samples.sort_unstable();
    Ok(Round {
        kops: count as f64 / took.as_secs_f64() / 1e3,
        p50: f64::from(stats::quantile(&samples, 0.5)),
        p99: f64::from(stats::quantile(&samples, 0.99)),
    })
}

/// The spread of a figure over rounds.
pub(crate) fn spread(rounds: &[Round], figure: fn(&Round) -> f64) -> Spread {
    Spread::of(rounds.iter().map(figure))
}

/// The median of the rounds' own ratios of a figure.
pub(crate) fn ratio(own: &[Round], other: &[Round], figure: fn(&Round) -> f64) -> f64 {
    Spread::of(own.iter().zip(other).map(|(own, other)| figure(own) / figure(other))).median
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u64);

    impl Work for Counting {
        async fn once(&mut self) -> Result<()> {
            tokio::task::yield_now().await;
            self.0 += 1;
            ensure!(self.0 < 1_000_000_000, "for ever");
            Ok(())
        }
    }

    struct Failing;

    impl Work for Failing {
        async fn once(&mut self) -> Result<()> {
            anyhow::bail!("it is gone")
        }
    }

    #[test]
    fn a_round_counts_and_an_error_ends_it() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let span = Duration::from_millis(10);
        let came_to = runtime.block_on(round(3, span, |_| Counting(0))).unwrap();
        assert!(came_to.kops > 0.0 && came_to.p50 <= came_to.p99, "{came_to:?}");
        let error = runtime.block_on(round(3, span, |_| Failing)).unwrap_err();
        assert!(error.to_string().contains("gone"));
    }

    #[test]
    fn ratios_are_those_of_rounds() {
        let of = |kops: f64| Round { kops, p50: 1.0, p99: 2.0 };
        let (own, other) = ([of(2.0), of(9.0), of(4.0)], [of(1.0), of(3.0), of(2.0)]);
        assert_eq!(ratio(&own, &other, |round| round.kops), 2.0);
        assert_eq!(spread(&own, |round| round.kops).median, 4.0);
    }
}
