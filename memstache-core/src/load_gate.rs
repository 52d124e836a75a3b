//! Who may load, and how many loads at once.

use std::{any::Any, fmt, sync::Arc};

use crate::error::Result;

/// Stands between all loads of a stack's handles and their data sources.
///
/// [`Stack::gate_loads`](crate::Stack::gate_loads) puts it there. It is asked once for each run of a loader, whoever waits
/// for it and whether or not the store can be reached: a batch is one. A load that is refused gives its lease back; who
/// waits for it is answered with a stale value if there is one, else with the refusal.
///
/// ```
/// use std::sync::Arc;
/// use memstache_core::{Error, ErrorKind, LoadGate, LoadPermit, Result};
/// use tokio::sync::Semaphore;
///
/// /// Lets so many loads run at once.
/// #[derive(Debug)]
/// struct AtOnce(Arc<Semaphore>);
///
/// impl LoadGate for AtOnce {
///     fn enter(&self, _tenant: Option<&str>) -> Result<LoadPermit> {
///         let full = |_| Error::new(ErrorKind::Overloaded, "too many loads are running");
///         Arc::clone(&self.0).try_acquire_owned().map(LoadPermit::new).map_err(full)
///     }
/// }
/// ```
pub trait LoadGate: fmt::Debug + Send + Sync + 'static {
    /// Lets a load of a tenant (`None`: the shared space) begin, or says why not.
    ///
    /// Must not wait. An error should be [`Overloaded`](crate::ErrorKind::Overloaded): the store is not at fault.
    fn enter(&self, tenant: Option<&str>) -> Result<LoadPermit>;
}

impl<G: LoadGate + ?Sized> LoadGate for Arc<G> {
    fn enter(&self, tenant: Option<&str>) -> Result<LoadPermit> {
        G::enter(self, tenant)
    }
}

/// A load that was let through: dropped when it has ended, with its fill, in whatever way.
pub struct LoadPermit(#[expect(dead_code, reason = "held for its drop")] Option<Box<dyn Any + Send>>);

impl LoadPermit {
    /// Creates a permit that drops something when the load has ended.
    pub fn new(held: impl Any + Send) -> Self {
        Self(Some(Box::new(held)))
    }

    /// Creates a permit that holds nothing.
    pub const fn free() -> Self {
        Self(None)
    }
}

impl fmt::Debug for LoadPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadPermit").finish_non_exhaustive()
    }
}
