use tower_layer::Layer;

use super::{RateLimit, RateLimiter, RateSnapshot};

/// Bounds how many items a second go down; the others are [`Overloaded`](crate::ErrorKind::Overloaded) at once, and
/// told when to try again.
///
/// What [carries on or ends loads](crate::Request::continues_loads) is let through and not counted: its read was.
/// Each item of a batch counts; a batch of more than the burst is [`Invalid`](crate::ErrorKind::Invalid). Right: below
/// the near cache, above the transforms.
///
/// ```
/// use memstache_core::{MemoryStore, Stack, resilience::{RateConfig, RateLimitLayer, RateLimiter}};
///
/// let rate = RateLimitLayer::new(RateLimiter::new(RateConfig::per_second(10_000))?);
/// let stack = Stack::over(MemoryStore::builder().build()?).limit(rate).build();
/// # let _ = stack;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitLayer(Option<RateLimiter>);

impl RateLimitLayer {
    /// Creates the layer.
    pub const fn new(limiter: RateLimiter) -> Self {
        Self(Some(limiter))
    }

    /// Creates a layer that lets everything through.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Returns how often it refused.
    pub fn snapshot(&self) -> RateSnapshot {
        self.limiter().map(RateLimiter::snapshot).unwrap_or_default()
    }

    pub(super) const fn limiter(&self) -> Option<&RateLimiter> {
        self.0.as_ref()
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit::new(inner, self.clone())
    }
}
