use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tower::retry::Retry;
use tower_layer::Layer;

use super::{RetryConfig, RetryPolicy, policy::Shared};
use crate::{
    clock::{Clock, SystemClock},
    error::Result,
    service::{CacheService, ErasedService},
};

/// Repeats what is retryable and idempotent.
///
/// Right: below the transforms, above the breaker and the timeout of an attempt.
///
/// ```text
/// seal( retry( breaker( timeout( store ) ) ) )
/// ```
///
/// Wrong: `retry( seal( store ) )` seals again for each attempt; `timeout( retry( store ) )` gives all attempts the
/// time of one.
///
/// ```
/// use memstache_core::{MemoryStore, Stack, resilience::{RetryConfig, RetryLayer}};
///
/// let retry = RetryLayer::new(RetryConfig::default())?;
/// let stack = Stack::over(MemoryStore::builder().build()?).retry(retry).build();
/// # let _ = stack;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct RetryLayer(Option<Arc<Shared>>);

/// What a [`RetryLayer`] makes of a stack: tower's retry over it.
///
/// Erased, since tower clones what it may have to call again in every call, and moves its future: a reference count and
/// a pointer instead of a stack and all that its call consists of.
pub type Retried = Retry<RetryPolicy, ErasedService>;

/// What was repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetrySnapshot {
    /// Calls that were repeated, each time counted.
    pub retries: u64,
    /// Calls that were not repeated because the budget was used up.
    pub exhausted: u64,
}

impl RetryLayer {
    /// Creates the layer; settings out of their limits are [`Invalid`](crate::ErrorKind::Invalid).
    pub fn new(config: RetryConfig) -> Result<Self> {
        config.check()?;
        Ok(Self::by(config, Arc::new(SystemClock::new()), Arc::new(fastrand::f64)))
    }

    /// Creates a layer that repeats nothing, for leaves that do it themselves.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Chooses the clock; it must be the stack's. Default: the system's. The budget goes by tokio's clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        Self(self.0.map(|shared| Shared::new(shared.config, clock, Arc::clone(&shared.random))))
    }

    /// Chooses the source of numbers uniform in 0..1 that spread the pauses. Default: a fast generator.
    #[must_use]
    pub fn with_random(self, random: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(self.0.map(|shared| Shared::new(shared.config, Arc::clone(&shared.clock), Arc::new(random))))
    }

    /// Returns what was repeated.
    pub fn snapshot(&self) -> RetrySnapshot {
        let count = |shared: &Arc<Shared>| RetrySnapshot {
            retries: shared.retries.load(Relaxed),
            exhausted: shared.exhausted.load(Relaxed),
        };
        self.0.as_ref().map(count).unwrap_or_default()
    }

    fn by(config: RetryConfig, clock: Arc<dyn Clock>, random: Arc<dyn Fn() -> f64 + Send + Sync>) -> Self {
        Self(Some(Shared::new(config, clock, random)))
    }
}

impl<S: CacheService> Layer<S> for RetryLayer {
    type Service = Retried;

    fn layer(&self, inner: S) -> Retried {
        Retry::new(RetryPolicy::new(self.0.clone()), ErasedService::new(inner))
    }
}

impl fmt::Debug for RetryLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("config", &self.0.as_ref().map(|shared| shared.config))
            .finish_non_exhaustive()
    }
}
