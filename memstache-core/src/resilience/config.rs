//! All layers together, with one set of settings.

use std::{fmt, sync::Arc};

use super::{
    BreakerConfig, BreakerLayer, BreakerSnapshot, BulkheadLayer, CircuitBreaker, LimitLayer, LimitSnapshot, RateConfig,
    RateLimitLayer, RateLimiter, RateSnapshot, RetryConfig, RetryLayer, RetrySnapshot, TimeoutConfig, TimeoutLayer,
};
use crate::{
    clock::{Clock, SystemClock},
    error::{Error, Result, all_of},
};

/// Everything that keeps a stack from hanging; `None` leaves a part out.
///
/// Default: at most 1,024 calls and 64 MiB under way below the near cache; 3 retries; a breaker that is probed apart;
/// 250 ms for an attempt to read, 500 ms for one to write; no limit of rate. A leaf that has one of these itself (a
/// breaker for each shard) wants it left out here.
///
/// ```
/// use memstache_core::resilience::{RateConfig, Resilience, ResilienceConfig};
///
/// let rate = Some(RateConfig::per_second(5_000));
/// let config = ResilienceConfig { max_calls: Some(256), rate, ..ResilienceConfig::default() };
/// let resilience = Resilience::new(config)?;
/// # let _ = resilience;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made by struct update from the default")]
pub struct ResilienceConfig {
    /// Most calls under way below the near cache; the others are shed. At least 1.
    pub max_calls: Option<usize>,
    /// Most bytes of calls under way below the near cache; the others are shed. At least 64 KiB.
    pub max_bytes: Option<usize>,
    /// Most items a second that go below the near cache.
    pub rate: Option<RateConfig>,
    /// Repetition of attempts that failed.
    pub retry: Option<RetryConfig>,
    /// The breaker in front of the leaf.
    pub breaker: Option<BreakerConfig>,
    /// How long one attempt may take.
    pub timeout: Option<TimeoutConfig>,
}

impl Default for ResilienceConfig {
    fn default() -> Self {
        Self {
            max_calls: Some(1024),
            max_bytes: Some(64 << 20),
            rate: None,
            retry: Some(RetryConfig::default()),
            breaker: Some(BreakerConfig::leaf()),
            timeout: Some(TimeoutConfig::default()),
        }
    }
}

impl ResilienceConfig {
    /// Returns settings that leave every part out.
    pub const fn none() -> Self {
        Self { max_calls: None, max_bytes: None, rate: None, retry: None, breaker: None, timeout: None }
    }

    /// Checks all settings; one error names everything that is wrong.
    pub fn check(&self) -> Result<()> {
        all_of(&self.wrong())
    }

    /// Everything that is wrong, each by itself.
    pub(crate) fn wrong(&self) -> Vec<Error> {
        let mut wrong = Vec::new();
        wrong.extend(self.max_calls.and_then(|calls| LimitLayer::check(calls).err()));
        wrong.extend(self.max_bytes.and_then(|bytes| BulkheadLayer::check(bytes).err()));
        wrong.extend(self.rate.and_then(|rate| rate.check().err()));
        wrong.extend(self.retry.iter().flat_map(RetryConfig::wrong));
        wrong.extend(self.breaker.iter().flat_map(BreakerConfig::wrong));
        wrong.extend(self.timeout.iter().flat_map(TimeoutConfig::wrong));
        wrong
    }
}

/// All layers, and what health and metrics read of them; clones are the same.
///
/// [`Stack::resilient`](crate::Stack::resilient) puts them into a stack. Stacks that are given the same one share its
/// limits, its breaker and its budget: one for each server.
///
/// ```
/// use memstache_core::{MemoryStore, Stack, resilience::Resilience};
///
/// let resilience = Resilience::default();
/// let stack = Stack::over(MemoryStore::builder().build()?).resilient(&resilience).build();
/// assert_eq!(resilience.snapshot().calls.taken, 0);
/// # let _ = stack;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Resilience {
    pub(crate) limit: LimitLayer,
    pub(crate) bulkhead: BulkheadLayer,
    pub(crate) rate: RateLimitLayer,
    pub(crate) retry: RetryLayer,
    pub(crate) breaker: BreakerLayer,
    pub(crate) timeout: TimeoutLayer,
}

/// What the layers of a [`Resilience`] know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResilienceSnapshot {
    /// Calls under way.
    pub calls: LimitSnapshot,
    /// Bytes under way.
    pub bytes: LimitSnapshot,
    /// Items a second.
    pub rate: RateSnapshot,
    /// Repetitions.
    pub retry: RetrySnapshot,
    /// The breaker, if there is one.
    pub breaker: Option<BreakerSnapshot>,
    /// Attempts that were cut off.
    pub timeouts: u64,
}

impl Resilience {
    /// Creates the layers by the system's clock; settings out of their limits are [`Invalid`](crate::ErrorKind::Invalid), all
    /// in one error.
    pub fn new(config: ResilienceConfig) -> Result<Self> {
        Self::with_clock(config, SystemClock::new())
    }

    /// Creates the layers by another clock; it must be the stack's.
    pub fn with_clock(config: ResilienceConfig, clock: impl Clock) -> Result<Self> {
        config.check()?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let breaker = config.breaker.map(CircuitBreaker::new).transpose()?;
        let rate = config.rate.map(|rate| RateLimiter::by(rate, Arc::clone(&clock))).transpose()?;
        let retry = config.retry.map_or(Ok(RetryLayer::off()), RetryLayer::new)?;
        let timeout = config.timeout.map_or_else(|| Ok(TimeoutLayer::off()), TimeoutLayer::new)?;
        Ok(Self {
            limit: config.max_calls.map_or(Ok(LimitLayer::off()), LimitLayer::new)?,
            bulkhead: config.max_bytes.map_or(Ok(BulkheadLayer::off()), BulkheadLayer::new)?,
            rate: rate.map_or(RateLimitLayer::off(), RateLimitLayer::new),
            retry: retry.with_clock(Arc::clone(&clock)),
            breaker: breaker.map_or(BreakerLayer::off(), |it| BreakerLayer::new(it.with_clock(Arc::clone(&clock)))),
            timeout: timeout.with_clock(clock),
        })
    }

    /// Returns the breaker in front of the leaf, if there is one.
    pub fn breaker(&self) -> Option<&CircuitBreaker> {
        self.breaker.breaker()
    }

    /// Returns what the layers know.
    pub fn snapshot(&self) -> ResilienceSnapshot {
        ResilienceSnapshot {
            calls: self.limit.snapshot(),
            bytes: self.bulkhead.snapshot(),
            rate: self.rate.snapshot(),
            retry: self.retry.snapshot(),
            breaker: self.breaker().map(CircuitBreaker::snapshot),
            timeouts: self.timeout.timeouts(),
        }
    }
}

impl Default for Resilience {
    /// The layers of the default settings.
    fn default() -> Self {
        Self::new(ResilienceConfig::default()).expect("the defaults are within their limits")
    }
}

impl fmt::Debug for Resilience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resilience").field("snapshot", &self.snapshot()).finish()
    }
}
