//! governor's arithmetic over a state that somebody else keeps.

use std::{
    cell::Cell,
    num::NonZeroU32,
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};

use super::limiter::{RateConfig, too_many, too_soon};
use crate::error::Result;

/// Where a line ends: in 292 years.
const END: Duration = Duration::from_nanos(u64::MAX / 2);

/// The state of one rate limit, in eight bytes: for whoever keeps many, each under a rate of its own.
///
/// What was taken stays taken when the rate changes, as far as the new burst goes: at the worst, it is used up. The same
/// holds for a clock that jumps back.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::resilience::{RateConfig, RateState};
///
/// let (rate, state) = (RateConfig::per_second(10), RateState::new());
/// let now = Duration::from_secs(7); // a clock's `elapsed`
/// assert!(state.try_take(&rate, now, 10).is_ok());
/// let wait = state.try_take(&rate, now, 1).unwrap_err().retry_after().unwrap();
/// assert!(state.try_take(&rate, now + wait, 1).is_ok());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct RateState(
    /// The theoretical arrival time, in nanoseconds on the caller's line; zero before anything was taken.
    AtomicU64,
);

impl RateState {
    /// Creates a state with the whole burst.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Lets items through, all or none, at a time on a line that is the same for all calls, such as a clock's
    /// [`elapsed`](crate::Clock::elapsed).
    ///
    /// # Errors
    /// [`Overloaded`](crate::ErrorKind::Overloaded) with when to try again; [`Invalid`](crate::ErrorKind::Invalid) for more
    /// than the burst, or a rate out of its limits.
    pub fn try_take(&self, rate: &RateConfig, now: Duration, items: u32) -> Result<()> {
        let Some(items) = NonZeroU32::new(items) else { return Ok(()) };
        let (quota, now) = (rate.quota()?, now.min(END));
        self.forget_beyond(now.saturating_add(whole(&quota)));
        let limiter: RateLimiter<_, _, _, NoOpMiddleware<Duration>> =
            RateLimiter::new(quota, Kept(&self.0), Line::at(now));
        let taken = limiter.check_n(items).map_err(|_| too_many(rate, items))?;
        taken.map_err(|until| too_soon(until.wait_time_from(now)))
    }

    /// Returns whether the whole burst is there again.
    pub fn is_whole(&self, now: Duration) -> bool {
        u128::from(self.0.load(Relaxed)) <= now.as_nanos()
    }

    /// Takes back what no burst of this rate can have taken.
    fn forget_beyond(&self, most: Duration) {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        let _ = self.0.fetch_update(AcqRel, Acquire, |taken| (taken > most).then_some(most));
    }
}

/// How long it takes until a burst that was used up is whole.
fn whole(quota: &Quota) -> Duration {
    quota.replenish_interval().saturating_mul(quota.burst_size().get())
}

/// The state, where governor looks for it.
struct Kept<'a>(&'a AtomicU64);

impl StateStore for Kept<'_> {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut taken = self.0.load(Acquire);
        loop {
            let (verdict, next) = decide((taken > 0).then(|| taken.into()))?;
            match self.0.compare_exchange_weak(taken, next.into(), AcqRel, Acquire) {
                Ok(_) => return Ok(verdict),
                Err(other) => taken = other,
            }
        }
    }
}

/// One moment on a line that begins at zero: a limiter asks first where it begins, then how late it is.
#[derive(Clone)]
struct Line {
    now: Duration,
    begun: Cell<bool>,
}

impl Line {
    const fn at(now: Duration) -> Self {
        Self { now, begun: Cell::new(false) }
    }
}

impl governor::clock::Clock for Line {
    type Instant = Duration;

    fn now(&self) -> Duration {
        if self.begun.replace(true) { self.now } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const START: Duration = Duration::from_secs(1000);

    /// How many single items are let through at once.
    fn free(state: &RateState, rate: &RateConfig, now: Duration) -> usize {
        (0..10_000).take_while(|_| state.try_take(rate, now, 1).is_ok()).count()
    }

    #[test]
    fn a_burst_then_the_rate_and_the_wait_that_is_told_suffices() {
        let (rate, state) = (RateConfig::per_second(10).with_burst(3), RateState::new());
        assert!(state.is_whole(START));
        assert_eq!(free(&state, &rate, START), 3);
        let error = state.try_take(&rate, START, 2).unwrap_err();
        let wait = error.retry_after().unwrap();
        assert_eq!((error.kind(), wait), (ErrorKind::Overloaded, Duration::from_millis(200)));
        assert!(state.try_take(&rate, START + wait - Duration::from_nanos(1), 2).is_err());
        assert!(state.try_take(&rate, START + wait, 2).is_ok());
        assert!(!state.is_whole(START + wait) && state.is_whole(START + wait + Duration::from_millis(300)));
    }

    #[test]
    fn more_than_the_burst_and_a_rate_out_of_its_limits_are_invalid() {
        let state = RateState::new();
        let error = state.try_take(&RateConfig::per_second(10), START, 11).unwrap_err();
        assert_eq!(error.to_string(), "items at once must be at most the burst (10), but 11 was given");
        assert_eq!(state.try_take(&RateConfig::per_second(0), START, 1).unwrap_err().kind(), ErrorKind::Invalid);
        assert!(state.is_whole(START), "nothing was taken");
    }

    #[test]
    fn a_change_of_rate_leaves_what_was_taken_and_blocks_nobody_for_longer_than_its_burst() {
        let (slow, fast) = (RateConfig::per_second(1).with_burst(3600), RateConfig::per_second(1000));
        let state = RateState::new();
        assert!(state.try_take(&slow, START, 3600).is_ok());
        let wait = state.try_take(&fast, START, 1).unwrap_err().retry_after().unwrap();
        assert_eq!(wait, Duration::from_millis(1));
        assert!(state.try_take(&fast, START + wait, 1).is_ok());
        assert_eq!(free(&state, &fast, START + wait), 0);
    }

    #[test]
    fn a_clock_that_jumps_gives_back_the_burst_or_uses_it_up_at_most() {
        let (rate, state) = (RateConfig::per_second(10), RateState::new());
        assert_eq!(free(&state, &rate, START), 10);
        let back = Duration::from_secs(1);
        let wait = state.try_take(&rate, back, 1).unwrap_err().retry_after().unwrap();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(free(&state, &rate, START * 1000), 10);
    }

    #[test]
    fn threads_share_a_burst_exactly() {
        let (rate, state) = (RateConfig::per_second(1000), RateState::new());
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| free(&state, &rate, START))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }
}
