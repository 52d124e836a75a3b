//! A stack whose traffic is written down.

mod call;
mod recorder;

use std::task::{Context, Poll};

use tower_service::Service;

pub use self::{
    call::{Call, Ending, Outcome},
    recorder::Recorder,
};
use crate::{
    clock::BoxFuture,
    coherence::{Coherence, InvalidationStream},
    error::{Error, Result},
    request::{Request, Response},
    service::{CacheService, oneshot},
};

/// A stack whose calls are written down by its [`Recorder`]. Always ready.
#[derive(Clone, Debug)]
pub struct Recording<S> {
    inner: S,
    recorder: Recorder,
}

impl<S> Recording<S> {
    /// Creates the service; the same recorder may serve several.
    pub const fn new(inner: S, recorder: Recorder) -> Self {
        Self { inner, recorder }
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: CacheService> Service<Request> for Recording<S> {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (open, gates) = self.recorder.arrive(&request);
        let inner = self.inner.clone();
        Box::pin(async move {
            for gate in gates {
                gate.pass().await;
            }
            let answer = oneshot(inner, request).await;
            open.end(&answer);
            answer
        })
    }
}

impl<S: Coherence> Coherence for Recording<S> {
    fn subscribe(&self) -> InvalidationStream {
        self.inner.subscribe()
    }
}

#[cfg(test)]
mod tests;
