//! A stack that fails when it is told to.

mod fault;
mod faults;

use std::task::{Context, Poll};

use tower_service::Service;

use self::fault::Kind;
pub use self::{fault::Fault, faults::Faults};
use crate::{
    clock::BoxFuture,
    coherence::{Coherence, InvalidationStream},
    error::{Error, ErrorKind, Result},
    health::{Health, PartHealth},
    request::{Request, Response},
    service::{CacheService, oneshot},
};

/// A stack whose calls fail, lose their answers or hang as its [`Faults`] say. Always ready.
#[derive(Clone, Debug)]
pub struct Faulty<S> {
    inner: S,
    faults: Faults,
}

impl<S> Faulty<S> {
    /// Creates the service; the same faults may serve several.
    pub const fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: CacheService> Service<Request> for Faulty<S> {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (inner, kind) = (self.inner.clone(), self.faults.take(&request));
        let read = request.is_read();
        Box::pin(async move {
            match kind {
                None => oneshot(inner, request).await,
                Some(Kind::Before(error)) => Err(error),
                Some(Kind::After(error)) => {
                    let error = error.unwrap_or_else(|| lost(read));
                    Ok(spoil(oneshot(inner, request).await?, &error))
                }
                Some(Kind::Hang(gate)) => {
                    gate.pass().await;
                    oneshot(inner, request).await
                }
            }
        })
    }
}

impl<S: Health> Health for Faulty<S> {
    fn health(&self) -> PartHealth {
        self.get_ref().health()
    }
}

impl<S: Coherence> Coherence for Faulty<S> {
    fn subscribe(&self) -> InvalidationStream {
        self.inner.subscribe()
    }
}

/// What a caller knows whose answer was lost.
fn lost(read: bool) -> Error {
    let kind = if read { ErrorKind::Timeout } else { ErrorKind::Unknown };
    Error::new(kind, "the answer was lost")
}

/// Puts the error in the place of every item: the call was attempted, so it does not fail as a whole.
fn spoil(response: Response, error: &Error) -> Response {
    match response {
        Response::Found(items) => Response::Found(items.map(|_| Err(error.clone()))),
        Response::Stored(items) => Response::Stored(items.map(|_| Err(error.clone()))),
        Response::Removed(items) => Response::Removed(items.map(|_| Err(error.clone()))),
        Response::Touched(items) => Response::Touched(items.map(|_| Err(error.clone()))),
        Response::Invalidated(items) => Response::Invalidated(items.map(|_| Err(error.clone()))),
        Response::Explained(items) => Response::Explained(items.map(|_| Err(error.clone()))),
    }
}

#[cfg(test)]
mod tests;
