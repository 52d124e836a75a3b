//! governor's limiter behind our clock.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use governor::{Quota, middleware::NoOpMiddleware, state::InMemoryState, state::NotKeyed};
use parking_lot::Mutex;

use crate::{
    clock::{Clock, SystemClock, Tick},
    error::{Error, ErrorKind, Result},
};

/// Most items a second, and most at once.
const MOST: u32 = 1_000_000;
/// The longest step of time that is taken for one: what was not asked for so long has its burst back.
const LONGEST_STEP: Duration = Duration::from_secs(3600);

/// How many items a second are let through, and how many at once.
///
/// ```
/// use memstache_core::resilience::RateConfig;
///
/// RateConfig::per_second(500).with_burst(100).check()?;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateConfig {
    per_second: u32,
    burst: u32,
}

impl RateConfig {
    /// Lets so many items through a second, and at once as many as in a second.
    pub const fn per_second(items: u32) -> Self {
        Self { per_second: items, burst: items }
    }

    /// Lets so many through at once: at least as many as in a millisecond, the clock's step, and at most as many as in
    /// an hour.
    #[must_use]
    pub const fn with_burst(mut self, items: u32) -> Self {
        self.burst = items;
        self
    }

    /// Checks the settings.
    pub fn check(&self) -> Result<()> {
        self.quota().map(drop)
    }

    pub(super) fn quota(&self) -> Result<Quota> {
        let bad_rate = || Error::invalid("rate per_second", format_args!("from 1 to {MOST}"), self.per_second);
        let rate = NonZeroU32::new(self.per_second).filter(|rate| rate.get() <= MOST).ok_or_else(bad_rate)?;
        let (least, most) = (self.per_second.div_ceil(1000), self.per_second.saturating_mul(3600).min(MOST));
        let bad_burst = || Error::invalid("rate burst", format_args!("from {least} to {most}"), self.burst);
        let burst = NonZeroU32::new(self.burst).filter(|burst| (least..=most).contains(&burst.get()));
        Ok(Quota::per_second(rate).allow_burst(burst.ok_or_else(bad_burst)?))
    }
}

/// Lets items through at a rate; clones share it. Lock-free but for reading the clock.
///
/// A clock that jumps does no harm: forward, it gives back the burst at most; back, nobody waits longer than before.
///
/// ```
/// use memstache_core::resilience::{RateConfig, RateLimiter};
///
/// let limiter = RateLimiter::new(RateConfig::per_second(10))?;
/// assert!(limiter.try_take(10).is_ok());
/// let refused = limiter.try_take(1).unwrap_err();
/// assert!(refused.retry_after().is_some());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    inner: Arc<governor::RateLimiter<NotKeyed, InMemoryState, Steady, NoOpMiddleware<Duration>>>,
    config: RateConfig,
    refused: Arc<AtomicU64>,
}

/// How often a limit of rate refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateSnapshot {
    /// Calls that came too soon. Those of more than the burst are not among them: no wait would let them through.
    pub refused: u64,
}

impl RateLimiter {
    /// Creates a limiter with its whole burst, by the system's clock; settings out of their limits are
    /// [`Invalid`](ErrorKind::Invalid).
    pub fn new(config: RateConfig) -> Result<Self> {
        Self::by(config, Arc::new(SystemClock::new()))
    }

    /// Creates a limiter by another clock.
    pub fn with_clock(config: RateConfig, clock: impl Clock) -> Result<Self> {
        Self::by(config, Arc::new(clock))
    }

    pub(crate) fn by(config: RateConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let inner = Arc::new(governor::RateLimiter::direct_with_clock(config.quota()?, Steady::new(clock)));
        Ok(Self { inner, config, refused: Arc::default() })
    }

    /// Lets items through, all or none; the error is [`Overloaded`](ErrorKind::Overloaded) and says when to try again,
    /// or [`Invalid`](ErrorKind::Invalid) for more than the burst.
    pub fn try_take(&self, items: u32) -> Result<()> {
        let Some(items) = NonZeroU32::new(items) else { return Ok(()) };
        let Ok(taken) = self.inner.check_n(items) else {
            return Err(too_many(&self.config, items));
        };
        taken.map_err(|until| {
            self.refused.fetch_add(1, Relaxed);
            too_soon(until.wait_time_from(governor::clock::Clock::now(self.inner.clock())))
        })
    }

    /// Returns how often it refused.
    pub fn snapshot(&self) -> RateSnapshot {
        RateSnapshot { refused: self.refused.load(Relaxed) }
    }
}

/// The error of a call that no wait would let through.
pub(super) fn too_many(rate: &RateConfig, items: NonZeroU32) -> Error {
    Error::invalid("items at once", format_args!("at most the burst ({})", rate.burst), items)
}

/// The error of a call that comes too soon.
pub(super) fn too_soon(wait: Duration) -> Error {
    Error::new(ErrorKind::Overloaded, "the rate limit is reached").without_effect().with_retry_after(wait)
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Time that only goes forward, at the pace of a clock that may jump.
struct Steady {
    clock: Arc<dyn Clock>,
    seen: Mutex<(Tick, Duration)>,
}

impl Steady {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let start = clock.now();
        Self { clock, seen: Mutex::new((start, Duration::ZERO)) }
    }
}

impl governor::clock::Clock for Steady {
    type Instant = Duration;

    fn now(&self) -> Duration {
        let mut seen = self.seen.lock();
        let now = self.clock.now();
        // What went back is where it goes on from.
        let step = now.since(seen.0).min(LONGEST_STEP);
        *seen = (now, seen.1.saturating_add(step));
        seen.1
    }
}
