//! A memory store as a [`Store`] and as a tower service.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{MemoryStore, explain::TIER, policy::EvictionPolicy, wait::Begun};
use crate::{
    clock::BoxFuture,
    coherence::{Coherence, InvalidationStream},
    error::{Error, Result},
    health::{Health, PartHealth},
    request::{
        Explain, Explained, Found, Get, Invalidate, Invalidated, Lookup, Remove, Removed, Request, Response, Set,
        SetItem, Stored, Touch, Touched,
    },
    store::Store,
};

impl<P: EvictionPolicy> MemoryStore<P> {
    fn begin_get(&self, op: Get) -> Begun {
        let begun = self.shared.begin_get(op);
        if let Begun::Ready(found) = &begun
            && found.iter().any(|found| matches!(found, Ok(Lookup::Leased(_) | Lookup::Stale(_, Some(_)))))
        {
            self.shared.keep_swept();
        }
        begun
    }

    fn store_all(&self, op: Set) -> Stored {
        let now = self.shared.clock.now();
        let stored =
            op.items.map(|SetItem { address, mut entry, when }| self.shared.set_one(address, &mut entry, when, || now));
        self.shared.keep_swept();
        stored
    }

    fn remove_all(&self, op: Remove) -> Removed {
        let now = self.shared.clock.now();
        op.items.map(|address| Ok(self.shared.remove_one(&address, now)))
    }

    fn touch_all(&self, op: Touch) -> Touched {
        let now = self.shared.clock.now();
        let touched = op.items.map(|item| Ok(self.shared.touch_one(item, now)));
        self.shared.keep_swept();
        touched
    }

    fn invalidate_all(&self, op: &Invalidate) -> Invalidated {
        let invalidated = op.items.map_ref(|target| Ok(self.shared.invalidate_one(target)));
        self.shared.keep_swept();
        invalidated
    }

    fn explain_all(&self, op: &Explain) -> Explained {
        let now = self.shared.clock.now();
        op.items.map_ref(|address| Ok(vec![self.shared.explain_one(address, now)]))
    }
}

impl<P: EvictionPolicy> Store for MemoryStore<P> {
    /// Reads entries, and grants leases on missing ones.
    ///
    /// # Cancellation
    /// A read that waits holds nothing: dropping it leaves no lease behind.
    async fn get(&self, op: Get) -> Result<Found> {
        match self.begin_get(op) {
            Begun::Ready(found) => Ok(found),
            Begun::Waiting(found) => Ok(found.await),
        }
    }

    async fn set(&self, op: Set) -> Result<Stored> {
        Ok(self.store_all(op))
    }

    async fn remove(&self, op: Remove) -> Result<Removed> {
        Ok(self.remove_all(op))
    }

    async fn touch(&self, op: Touch) -> Result<Touched> {
        Ok(self.touch_all(op))
    }

    async fn invalidate(&self, op: Invalidate) -> Result<Invalidated> {
        Ok(self.invalidate_all(&op))
    }

    async fn explain(&self, op: Explain) -> Result<Explained> {
        Ok(self.explain_all(&op))
    }

    fn health(&self) -> Option<PartHealth> {
        Some(Health::health(self))
    }
}

/// Degraded while as many keys are being loaded as there may be leases: further loads are refused.
impl<P: EvictionPolicy> Health for MemoryStore<P> {
    fn health(&self) -> PartHealth {
        let stats = self.stats();
        let part = PartHealth::healthy(TIER)
            .with("entries", stats.entries)
            .with("bytes", stats.bytes)
            .with("max_bytes", stats.max_bytes)
            .with("leases", stats.leases_standing)
            .with("max_leases", self.shared.max_leases);
        if stats.leases_standing < self.shared.max_leases {
            part
        } else {
            part.degraded("as many keys are being loaded as there are leases")
        }
    }
}

impl<P: EvictionPolicy> Coherence for MemoryStore<P> {
    fn subscribe(&self) -> InvalidationStream {
        self.shared.events.subscribe()
    }
}

/// Always ready; the work is done in `call`, so that its future is ready too.
impl<P: EvictionPolicy> Service<Request> for MemoryStore<P> {
    type Response = Response;
    type Error = Error;
    type Future = MemoryFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> MemoryFuture {
        let response = match request {
            Request::Get(op) => match self.begin_get(op) {
                Begun::Ready(found) => Response::Found(found),
                Begun::Waiting(found) => return MemoryFuture(State::Waiting(found)),
            },
            Request::Set(op) => Response::Stored(self.store_all(op)),
            Request::Remove(op) => Response::Removed(self.remove_all(op)),
            Request::Touch(op) => Response::Touched(self.touch_all(op)),
            Request::Invalidate(op) => Response::Invalidated(self.invalidate_all(&op)),
            Request::Explain(op) => Response::Explained(self.explain_all(&op)),
        };
        MemoryFuture(State::Ready(Some(response)))
    }
}

/// The answer of a [`MemoryStore`]: ready, unless it waits for a key that somebody else loads.
///
/// # Cancellation
/// A read that waits holds nothing: dropping it leaves no lease behind.
///
/// # Panics
/// When polled again after it was ready.
#[must_use = "futures do nothing unless polled"]
pub struct MemoryFuture(State);

enum State {
    Ready(Option<Response>),
    Waiting(BoxFuture<'static, Found>),
}

impl Future for MemoryFuture {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(response) => Poll::Ready(Ok(response.take().expect("polled after it was ready"))),
            State::Waiting(found) => found.as_mut().poll(cx).map(|found| Ok(Response::Found(found))),
        }
    }
}

impl fmt::Debug for MemoryFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = matches!(self.0, State::Waiting(_));
        f.debug_struct("MemoryFuture").field("waits", &waits).finish_non_exhaustive()
    }
}
