//! A [`Store`] as a tower service.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::Store;
use crate::{
    clock::BoxFuture,
    coherence::{Coherence, InvalidationStream},
    error::{Error, Result},
    health::{Health, PartHealth},
    request::{Request, Response},
};

/// Makes a [`Store`] the leaf of a stack; one boxed future a call, always ready.
pub struct StoreService<S>(Arc<S>);

impl<S> StoreService<S> {
    /// Wraps a store.
    pub fn new(store: S) -> Self {
        Self(Arc::new(store))
    }

    /// Returns the store.
    pub fn get_ref(&self) -> &S {
        &self.0
    }
}

impl<S> From<Arc<S>> for StoreService<S> {
    fn from(store: Arc<S>) -> Self {
        Self(store)
    }
}

impl<S> Clone for StoreService<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for StoreService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreService").finish_non_exhaustive()
    }
}

impl<S: Store> Service<Request> for StoreService<S> {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let store = Arc::clone(&self.0);
        Box::pin(async move {
            Ok(match request {
                Request::Get(op) => Response::Found(store.get(op).await?),
                Request::Set(op) => Response::Stored(store.set(op).await?),
                Request::Remove(op) => Response::Removed(store.remove(op).await?),
                Request::Touch(op) => Response::Touched(store.touch(op).await?),
                Request::Invalidate(op) => Response::Invalidated(store.invalidate(op).await?),
                Request::Explain(op) => Response::Explained(store.explain(op).await?),
            })
        })
    }
}

impl<S: Store + Coherence> Coherence for StoreService<S> {
    fn subscribe(&self) -> InvalidationStream {
        self.0.subscribe()
    }
}

/// A store that does not say how it is counts as healthy.
impl<S: Store> Health for StoreService<S> {
    fn health(&self) -> PartHealth {
        self.0.health().unwrap_or_else(|| PartHealth::healthy("store"))
    }
}
