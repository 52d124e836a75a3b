use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{Near, NearConfig};
use crate::coherence::{Coherence, InvalidationStream};

/// Puts a near cache in front of a stack.
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
