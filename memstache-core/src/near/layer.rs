use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{Near, NearConfig};
use crate::coherence::{Coherence, InvalidationStream};

/// Puts a near cache in front of a stack; [`Stack::near`](crate::Stack::near) does it in the right place.
///
/// # Panics
/// Not here, but with the first call outside of a tokio runtime: a task follows what changes.
///
/// By hand, with the view that answers hits at once:
///
/// ```
/// use memstache_core::{ErasedService, MemoryStore, NearConfig, NearLayer};
/// use tower::{Layer, ServiceBuilder};
///
/// let store = MemoryStore::builder().build()?;
/// let below = ServiceBuilder::new().concurrency_limit(64).service(store.clone());
/// let near = NearLayer::new(NearConfig::new(1 << 20)?, store).layer(below);
/// let view = near.view();
/// let stack = ErasedService::with_try_hit(near, view);
/// # let _ = stack;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct NearLayer {
    config: NearConfig,
    subscribe: Subscribe,
}

/// Subscribes to what changes in the leaf; again when the stream ended.
pub(super) type Subscribe = Arc<dyn Fn() -> InvalidationStream + Send + Sync>;

impl NearLayer {
    /// Creates the layer for a stack over `leaf`, whose changes the near cache follows.
    pub fn new(config: NearConfig, leaf: impl Coherence + Send + Sync + 'static) -> Self {
        Self { config, subscribe: Arc::new(move || leaf.subscribe()) }
    }
}

impl<S> Layer<S> for NearLayer {
    type Service = Near<S>;

    fn layer(&self, inner: S) -> Near<S> {
        Near::new(inner, self.config.clone(), Arc::clone(&self.subscribe))
    }
}

impl fmt::Debug for NearLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearLayer").field("config", &self.config).finish_non_exhaustive()
    }
}
