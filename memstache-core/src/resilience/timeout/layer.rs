use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tower_layer::Layer;

use super::Timeout;
use crate::{
    clock::{Clock, SystemClock},
    error::{Error, Result, all_of},
    lifetime::positive,
};

/// How long one attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeoutConfig {
    /// A read. Default: 250 ms.
    pub read: Duration,
    /// A write, a removal or an invalidation. Default: 500 ms.
    pub write: Duration,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self { read: Duration::from_millis(250), write: Duration::from_millis(500) }
    }
}

impl TimeoutConfig {
    /// Creates the settings.
    pub const fn new(read: Duration, write: Duration) -> Self {
        Self { read, write }
    }

    /// Checks the settings, both above zero and at most 3,650 days; one error names everything that is wrong.
    pub fn check(&self) -> Result<()> {
        all_of(&self.wrong())
    }

    pub(crate) fn wrong(&self) -> Vec<Error> {
        let read = positive("timeout read", self.read).err();
        read.into_iter().chain(positive("timeout write", self.write).err()).collect()
    }
}

/// Bounds each attempt: a read that takes longer is [`Timeout`](crate::ErrorKind::Timeout), a write
/// [`Unknown`](crate::ErrorKind::Unknown).
///
/// A read that waits for another caller's lease may take that much longer than its own deadline. A write's deadline is
/// brought forward to the end of its attempt, so that a leaf which fences late writes refuses it afterwards.
///
/// Right: innermost. Wrong: `timeout( retry( store ) )`, where one slow attempt uses up the time of all.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::{MemoryStore, Stack, resilience::{TimeoutConfig, TimeoutLayer}};
///
/// let millis = Duration::from_millis;
/// let timeout = TimeoutLayer::new(TimeoutConfig::new(millis(100), millis(400)))?;
/// let stack = Stack::over(MemoryStore::builder().build()?).timeout(timeout).build();
/// # let _ = stack;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    pub(super) limits: Option<TimeoutConfig>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) count: Arc<AtomicU64>,
}

impl TimeoutLayer {
    /// Creates the layer; a limit of zero is [`Invalid`](crate::ErrorKind::Invalid).
    pub fn new(config: TimeoutConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { limits: Some(config), ..Self::off() })
    }

    /// Creates a layer that bounds nothing, for leaves that bound their attempts themselves.
    pub fn off() -> Self {
        Self { limits: None, clock: Arc::new(SystemClock::new()), count: Arc::default() }
    }

    /// Chooses the clock; it must be the stack's. Default: the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns how many attempts were cut off.
    pub fn timeouts(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, self.clone())
    }
}
