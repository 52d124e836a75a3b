//! Asking for leases, so that none is lost with a caller who leaves.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{super::core::Core, flight::give_back};
use crate::{
    address::Address,
    clock::{BoxFuture, Tick},
    error::Result,
    request::{Found, Get, LeaseId, Lookup, OneOrMany, Response},
};

/// Reads, asking for the leases of what is missing.
///
/// # Cancellation
/// Dropped while the store is about to answer, the call goes on by itself until its deadline, and what it is granted is
/// given back: a caller who leaves does not block the key for a lease's ttl.
pub(super) async fn ask(core: &Arc<Core>, get: Get) -> Result<Found> {
    let (deadline, count) = (get.scope.deadline, get.items.len());
    let addresses = get.items.map_ref(|item| item.address.clone());
    let call = Some(core.service.dispatch(get));
    let asking = Asking { core: Arc::clone(core), addresses, call, sent: false, deadline };
    core.answer::<Get>(asking, deadline, count, true).await
}

/// A question on its way.
struct Asking {
    core: Arc<Core>,
    addresses: OneOrMany<Address>,
    /// Until it is answered.
    call: Option<BoxFuture<'static, Result<Response>>>,
    sent: bool,
    deadline: Option<Tick>,
}

impl Future for Asking {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response>> {
        self.sent = true;
        let call = self.call.as_mut().expect("polled after completion");
        let answer = ready!(call.as_mut().poll(cx));
        self.call = None;
        Poll::Ready(answer)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let Some(call) = self.call.take().filter(|_| self.sent) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (core, deadline, count) = (Arc::clone(&self.core), self.deadline, self.addresses.len());
        let addresses = std::mem::replace(&mut self.addresses, OneOrMany::Many(Vec::new()));
        runtime.spawn(async move {
            let found = core.answer::<Get>(call, deadline, count, true).await;
            let granted = found.into_iter().flatten().zip(addresses);
            let leases: Vec<_> = granted.filter_map(|(found, address)| Some((address, granted_by(&found)?))).collect();
            if !leases.is_empty() {
                give_back(&core, leases).await;
            }
        });
    }
}

/// Leases that were granted and that no flight has yet: a value that panics when it is opened gives them back.
pub(super) struct Granted {
    core: Arc<Core>,
    leases: Vec<(Address, LeaseId)>,
}

impl Granted {
    pub(super) fn of<'a>(core: &Arc<Core>, found: impl IntoIterator<Item = (&'a Address, &'a Result<Lookup>)>) -> Self {
        let leases = found.into_iter().filter_map(|(address, found)| Some((address.clone(), granted_by(found)?)));
        Self { core: Arc::clone(core), leases: leases.collect() }
    }

    /// Flights have them now.
    pub(super) fn taken(mut self) {
        self.leases.clear();
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        let leases = std::mem::take(&mut self.leases);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !leases.is_empty() {
            let core = Arc::clone(&self.core);
            runtime.spawn(async move { give_back(&core, leases).await });
        }
    }
}

fn granted_by(found: &Result<Lookup>) -> Option<LeaseId> {
    match found {
        Ok(Lookup::Leased(lease) | Lookup::Stale(_, Some(lease))) => Some(lease.id),
        _ => None,
    }
}
