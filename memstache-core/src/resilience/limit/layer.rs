use tower_layer::Layer;

use super::Limit;
use crate::{
    error::{Error, Result},
    resilience::{LimitSnapshot, share::Shares},
};

/// Bounds how many calls are under way; the others are [`Overloaded`](crate::ErrorKind::Overloaded) at once.
///
/// All stacks that are made by clones of the layer share the limit.
///
/// What [carries on or ends loads](crate::Request::continues_loads) is never refused, and takes no place: refused, a
/// burst over the limit would leave keys busy for the ttl of their leases. A read that
/// [waits](crate::OnMiss::Wait) for the load of another takes none of the places either, but one of as many for
/// waiting.
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
pub struct LimitLayer(pub(super) Option<Shares>);

impl LimitLayer {
    /// Creates the layer for so many calls; at least 1.
    pub fn new(calls: usize) -> Result<Self> {
        Self::check(calls)?;
        Ok(Self(Some(Shares::new(calls, "too many calls are under way"))))
    }

    /// Creates a layer that lets everything through.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Returns how many calls are under way, and how many were shed.
    pub fn snapshot(&self) -> LimitSnapshot {
        self.0.as_ref().map(Shares::snapshot).unwrap_or_default()
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
