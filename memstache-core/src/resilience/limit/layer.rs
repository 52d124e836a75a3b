use std::sync::Arc;

use tower_layer::Layer;

use super::Limit;
use crate::{
    error::{Error, Result},
    resilience::{LimitSnapshot, share::Share},
};

/// Bounds how many calls are under way; the others are [`Overloaded`](crate::ErrorKind::Overloaded) at once.
///
/// All stacks that are made by clones of the layer share the limit.
///
/// Right: `near( limit( seal( store ) ) )`, so that hits are not shed and no work is done for what is. Wrong: below
/// the transforms.
///
/// ```
/// use memstache_core::{MemoryStore, Stack, resilience::LimitLayer};
///
/// let stack = Stack::over(MemoryStore::builder().build()?).limit(LimitLayer::new(512)?).build();
/// # let _ = stack;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LimitLayer(pub(super) Option<Arc<Share>>);

impl LimitLayer {
    /// Creates the layer for so many calls; at least 1.
    pub fn new(calls: usize) -> Result<Self> {
        Self::check(calls)?;
        Ok(Self(Some(Arc::new(Share::new(calls, "too many calls are under way")))))
    }

    /// Creates a layer that lets everything through.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Returns how many calls are under way, and how many were shed.
    pub fn snapshot(&self) -> LimitSnapshot {
        self.0.as_ref().map(|share| share.snapshot()).unwrap_or_default()
    }

    pub(crate) fn check(calls: usize) -> Result<()> {
        if calls == 0 { Err(Error::invalid("limit calls", "at least 1", 0)) } else { Ok(()) }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        Limit::new(inner, self.clone())
    }
}
