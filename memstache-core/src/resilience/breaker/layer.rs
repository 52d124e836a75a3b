use std::sync::Arc;

use tower_layer::Layer;

use super::{BreakerService, CircuitBreaker};
use crate::request::Request;

/// Puts a [`CircuitBreaker`] into a stack, in front of one server or shard.
///
/// Right: below the retries, above the timeout of an attempt.
///
/// ```text
/// retry( breaker( timeout( store ) ) )     a hanging attempt is a failure; an open breaker is not waited for
/// ```
///
/// Wrong: `breaker( retry( store ) )` counts four failed attempts as one; `timeout( breaker( store ) )` takes an
/// attempt that was cut off for a caller who left.
///
/// While a breaker that is [probed apart](super::Probing::Apart) is open, a task of the layer's own sends a read of a
/// key that nobody has; where no runtime is there, a request is the probe. The task ends with the last clone of the
/// service.
///
/// ```
/// use memstache_core::resilience::{BreakerConfig, BreakerLayer, CircuitBreaker};
/// use memstache_core::{MemoryStore, Stack};
///
/// let breaker = CircuitBreaker::new(BreakerConfig::leaf())?;
/// let store = MemoryStore::builder().build()?;
/// let stack = Stack::over(store).breaker(BreakerLayer::new(breaker.clone())).build();
/// # let _ = stack;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BreakerLayer {
    pub(super) breaker: Option<CircuitBreaker>,
    pub(super) probe: Option<Arc<Request>>,
}

impl BreakerLayer {
    /// Creates the layer.
    pub const fn new(breaker: CircuitBreaker) -> Self {
        Self { breaker: Some(breaker), probe: None }
    }

    /// Creates a layer that lets everything through, for leaves that have breakers of their own.
    pub const fn off() -> Self {
        Self { breaker: None, probe: None }
    }

    /// Returns the breaker, unless the layer lets everything through.
    pub const fn breaker(&self) -> Option<&CircuitBreaker> {
        self.breaker.as_ref()
    }

    /// Chooses what a prober sends. Default: a read of the key `probe` in the keyspace `memstache`.
    #[must_use]
    pub fn with_probe(mut self, probe: impl Into<Request>) -> Self {
        self.probe = Some(Arc::new(probe.into()));
        self
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = BreakerService<S>;

    fn layer(&self, inner: S) -> BreakerService<S> {
        BreakerService::new(inner, self.clone())
    }
}
