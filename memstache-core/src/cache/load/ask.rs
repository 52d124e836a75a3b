//! Asking for leases, so that none is lost with a caller who leaves, or with an answer that does not arrive.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{super::core::Core, bundle::give_back, releases};
use crate::{
    address::Address,
    clock::{BoxFuture, Tick},
    error::Result,
    request::{Found, Get, GetItem, Lease, LeaseId, Lookup, OnMiss, OneOrMany, Response},
};

/// Reads, asking for the leases of what is missing; every item is to name its lease. The answer has until `deadline`.
///
/// A lease that may have been granted although nothing says so (the answer is late or lost, a layer above the store
/// answers an error or panics) is released by its name.
///
/// # Cancellation
/// Dropped while the store is about to answer, the call goes on by itself until its deadline, and what it is granted is
/// given back: a caller who leaves does not block the key for a lease's ttl.
pub(super) async fn ask(core: &Arc<Core>, get: Get, deadline: Option<Tick>) -> Result<Found> {
    let (items, waits) = (get.items.clone(), get.on_miss == OnMiss::Wait);
    let count = items.len();
    let unclear = Some(Unclear { core: Arc::clone(core), items });
    let call = Some(core.service.dispatch(get));
    let mut asking = Asking { unclear, call, waits, state: State::Unsent, deadline };
    let found = core.answer::<Get>(&mut asking, deadline, count, true).await;
    if let Some(unclear) = asking.unclear.take() {
        unclear.ends(&found);
    }
    found
}

/// A question on its way.
struct Asking {
    /// Until it is clear what was granted.
    unclear: Option<Unclear>,
    /// Until it is answered.
    call: Option<BoxFuture<'static, Result<Response>>>,
    waits: bool,
    state: State,
    deadline: Option<Tick>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unsent,
    /// Seen by whoever drops it only if polling it has panicked.
    Polled,
    Sent,
}

impl Future for Asking {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response>> {
        self.state = State::Polled;
        let answer = self.call.as_mut().expect("polled after completion").as_mut().poll(cx);
        self.state = State::Sent;
        let answer = ready!(answer);
        self.call = None;
        Poll::Ready(answer)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let Some(unclear) = self.unclear.take() else { return };
        match (self.state, self.call.take()) {
            (State::Unsent, _) => unclear.nothing(),
            // Who waits holds nothing, or almost has its answer: what is released by name covers both.
            (State::Sent, Some(call)) if !self.waits => go_on(unclear, call, self.deadline),
            _ => drop(unclear),
        }
    }
}

/// Lets a call whose caller has left be answered, and gives back what it is granted.
fn go_on(unclear: Unclear, call: BoxFuture<'static, Result<Response>>, deadline: Option<Tick>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        let core = Arc::clone(&unclear.core);
        let found = core.answer::<Get>(call, deadline, unclear.items.len(), true).await;
        let granted = Granted::of(&core, unclear.items.iter().map(|item| &item.address).zip(found.iter().flatten()));
        unclear.ends(&found);
        drop(granted);
    });
}

/// Items of which nobody knows whether their leases were granted; dropped, they are released.
struct Unclear {
    core: Arc<Core>,
    items: OneOrMany<GetItem>,
}

impl Unclear {
    /// Takes note of the answer: released is what it leaves unclear.
    fn ends(mut self, found: &Result<Found>) {
        match found {
            Err(error) if error.may_have_effect() => {}
            Err(_) => self.nothing(),
            Ok(found) => {
                let lost = |item: &GetItem, found: &Result<Lookup>| match found {
                    Err(error) => error.may_have_effect(),
                    Ok(Lookup::Stale(_, None)) => self.is_hidden(item),
                    Ok(_) => false,
                };
                let items = self.items.iter().zip(found.iter()).filter(|(item, found)| lost(item, found));
                let items: Vec<_> = items.map(|(item, _)| item.clone()).collect();
                self.items = OneOrMany::Many(items);
            }
        }
    }

    /// Whether a near tier served a copy in place of an answer that may have granted the item's lease.
    fn is_hidden(&self, item: &GetItem) -> bool {
        let near = self.core.service.near();
        item.lease.zip(near).is_some_and(|(lease, near)| near.take_lost(lease))
    }

    /// Nothing was granted that is not told.
    fn nothing(mut self) {
        self.items = OneOrMany::Many(Vec::new());
    }
}

impl Drop for Unclear {
    fn drop(&mut self) {
        let named = self.items.iter().filter_map(|item| Some((item.address.clone(), item.lease?)));
        releases::later(&self.core, named.map(|(address, id)| (address, id, releases::UNKNOWN_TTL)));
    }
}

/// Leases that were granted and that no flight has yet: a value that panics when it is opened gives them back.
pub(super) struct Granted {
    core: Arc<Core>,
    leases: Vec<(Address, Lease)>,
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

fn granted_by(found: &Result<Lookup>) -> Option<Lease> {
    match found {
        Ok(Lookup::Leased(lease) | Lookup::Stale(_, Some(lease))) => Some(*lease),
        _ => None,
    }
}

/// Names an item's lease, so that it can be asked for again and released whatever happens to the answer.
pub(super) fn named(item: GetItem) -> GetItem {
    item.under(LeaseId::draw())
}
