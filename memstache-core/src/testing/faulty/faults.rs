//! What goes wrong in a stack, told from outside.

use std::sync::Arc;

use parking_lot::Mutex;
use tower_layer::Layer;

use super::{Fault, Faulty, fault::Kind};
use crate::{request::Request, testing::Gate};

/// The handle by which a test makes [`Faulty`] stacks fail, and the layer that makes them. Clones are the same handle.
///
/// ```
/// use memstache_core::testing::{Fault, Faults, ManualClock, NaiveStore};
/// use memstache_core::{Address, ErasedService, Error, ErrorKind, Get, KeyspaceName, Request, Space};
/// use tower_layer::Layer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// let faults = Faults::new();
/// let service = ErasedService::new(faults.layer(NaiveStore::new(ManualClock::new()).service()));
/// let key = Address::plain(&Space::new(None, &KeyspaceName::new("drinks")?), "tea")?;
///
/// let cut = Error::new(ErrorKind::Unavailable, "the store is gone");
/// faults.inject(Fault::before(cut).times(1).when(|request| matches!(request, Request::Get(_))));
/// assert!(service.dispatch(Get::one(key.clone())).await.is_err());
/// assert!(service.dispatch(Get::one(key)).await.is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    faults: Vec<Fault>,
    injected: usize,
}

impl Faults {
    /// Creates a handle under which nothing fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault; the first that meets a call decides.
    pub fn inject(&self, fault: Fault) {
        self.0.lock().faults.push(fault);
    }

    /// Removes every fault and lets what hangs go on.
    pub fn heal(&self) {
        let faults = std::mem::take(&mut self.0.lock().faults);
        faults.iter().filter_map(Fault::gate).for_each(Gate::open);
    }

    /// Returns how many calls have met a fault.
    pub fn injected(&self) -> usize {
        self.0.lock().injected
    }

    /// Returns how many calls hang.
    pub fn hanging(&self) -> usize {
        self.0.lock().faults.iter().filter_map(Fault::gate).map(Gate::waiting).sum()
    }

    pub(super) fn take(&self, request: &Request) -> Option<Kind> {
        let mut plan = self.0.lock();
        let kind = plan.faults.iter_mut().find_map(|fault| fault.meet(request))?;
        plan.injected += 1;
        Some(kind)
    }
}

impl<S> Layer<S> for Faults {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty::new(inner, self.clone())
    }
}
