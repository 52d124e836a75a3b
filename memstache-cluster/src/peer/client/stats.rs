//! What calls to a peer tell of its health.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use memstache_core::{Tick, resilience::BreakerState};
use parking_lot::Mutex;

/// How much the last call weighs in the mean.
const WEIGHT: f64 = 1.0 / 16.0;

/// The quantile that is followed.
const QUANTILE: f64 = 0.95;

/// What is counted of one peer.
#[derive(Debug, Default)]
pub(super) struct Counters {
    connects: AtomicU64,
    connect_failures: AtomicU64,
    silences: AtomicU64,
    bad_frames: AtomicU64,
    /// When it answered for the last time, in milliseconds; zero for never.
    heard: AtomicU64,
    recent: Mutex<Recent>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    calls: u64,
    failures: u64,
    consecutive_failures: u64,
    mean: f64,
    p95: f64,
}

/// How a peer is, as far as calls to it tell.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub(crate) struct PeerHealth {
    /// Whether there is a connection.
    pub(crate) connected: bool,
    /// What its breaker does with calls.
    pub(crate) breaker: BreakerState,
    /// Calls under way.
    pub(crate) in_flight: usize,
    /// Calls that ended, well or not; those that callers gave up are not among them.
    pub(crate) calls: u64,
    /// Calls that the peer did not answer, or not in time.
    pub(crate) failures: u64,
    /// Failures since the last answer.
    pub(crate) consecutive_failures: u64,
    /// How long answers took: the mean, by which the last weighs 1/16.
    pub(crate) latency: Duration,
    /// What 95 of a hundred recent answers took at most, about.
    pub(crate) p95: Duration,
    /// How long ago it answered, if it ever did.
    pub(crate) heard: Option<Duration>,
    /// Connections made.
    pub(crate) connects: u64,
    /// Failures to connect.
    pub(crate) connect_failures: u64,
    /// Connections that were given up because nothing came.
    pub(crate) silences: u64,
    /// Connections that were closed for what came.
    pub(crate) bad_frames: u64,
}

impl Counters {
    pub(super) fn connected(&self) {
        self.connects.fetch_add(1, Relaxed);
    }

    pub(super) fn connect_failed(&self) {
        self.connect_failures.fetch_add(1, Relaxed);
    }

    pub(super) fn silent(&self) {
        self.silences.fetch_add(1, Relaxed);
    }

    pub(super) fn bad_frame(&self) {
        self.bad_frames.fetch_add(1, Relaxed);
    }

    pub(super) fn answered(&self, took: Duration, now: Tick) {
        self.heard.store(now.as_millis().max(1), Relaxed);
        self.recent.lock().answered(took.as_secs_f64());
    }

    pub(super) fn failed(&self) {
        let mut recent = self.recent.lock();
        recent.calls += 1;
        recent.failures += 1;
        recent.consecutive_failures += 1;
    }

    pub(super) fn health(&self, breaker: BreakerState, in_flight: Option<usize>, now: Tick) -> PeerHealth {
        let heard = Some(self.heard.load(Relaxed)).filter(|at| *at > 0);
        let Recent { calls, failures, consecutive_failures, mean, p95 } = *self.recent.lock();
        PeerHealth {
            connected: in_flight.is_some(),
            breaker,
            in_flight: in_flight.unwrap_or(0),
            heard: heard.map(|at| now.since(Tick::from_millis(at))),
            calls,
            failures,
            consecutive_failures,
            latency: Duration::from_secs_f64(mean),
            p95: Duration::from_secs_f64(p95),
            connects: self.connects.load(Relaxed),
            connect_failures: self.connect_failures.load(Relaxed),
            silences: self.silences.load(Relaxed),
            bad_frames: self.bad_frames.load(Relaxed),
        }
    }
}

impl PeerHealth {
    /// That of a peer that was never called.
    pub(crate) fn unknown() -> Self {
        Counters::default().health(BreakerState::Closed, None, Tick::default())
    }
}

impl Recent {
    fn answered(&mut self, took: f64) {
        self.calls += 1;
        self.consecutive_failures = 0;
        if self.mean == 0.0 {
            (self.mean, self.p95) = (took, took);
            return;
        }
        self.mean += WEIGHT * (took - self.mean);
        // A quantile without samples kept: each answer moves it by a step, up or down in the ratio of the quantile
        // (Robbins and Monro, "A stochastic approximation method", 1951).
        let step = self.mean * WEIGHT;
        let moved = if took > self.p95 { step * QUANTILE } else { -step * (1.0 - QUANTILE) };
        self.p95 = (self.p95 + moved).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_follows_what_is_recent() {
        let counters = Counters::default();
        let micros = Duration::from_micros;
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..5000 {
            counters.answered(micros(rng.u64(100..=200)), Tick::from_millis(5000));
        }
        let health = counters.health(BreakerState::Closed, Some(3), Tick::from_millis(7000));
        assert!((micros(130)..micros(170)).contains(&health.latency), "{:?}", health.latency);
        assert!((micros(180)..micros(215)).contains(&health.p95), "{:?}", health.p95);
        counters.failed();
        counters.failed();
        let health = counters.health(BreakerState::Open, None, Tick::from_millis(7000));
        assert_eq!((health.calls, health.failures, health.consecutive_failures), (5002, 2, 2));
        assert!(!health.connected);
        assert_eq!(health.heard, Some(Duration::from_secs(2)));
        assert_eq!(PeerHealth::unknown().heard, None);
        for _ in 0..100 {
            counters.answered(micros(10_000), Tick::from_millis(5000));
        }
        let health = counters.health(BreakerState::Closed, None, Tick::from_millis(7000));
        assert!(health.latency > micros(9000) && health.consecutive_failures == 0);
    }
}
