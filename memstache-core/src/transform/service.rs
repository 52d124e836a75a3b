use std::{
    mem,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{Step, Transform, TransformFuture, explain::explain};
use crate::{
    error::{Error, Result},
    request::{Request, Response},
    service::CacheService,
    util::unready,
};

/// A stack whose requests and responses are rewritten.
#[derive(Clone, Debug)]
pub struct Transformed<S, T> {
    inner: S,
    transform: T,
}

impl<S, T> Transformed<S, T> {
    /// Creates the service.
    pub const fn new(inner: S, transform: T) -> Self {
        Self { inner, transform }
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, T> Service<Request> for Transformed<S, T>
where
    S: CacheService,
    T: Transform,
{
    type Response = Response;
    type Error = Error;
    type Future = TransformFuture<S, T>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let transform = self.transform.clone();
        let request = match request {
            Request::Explain(op) => return TransformFuture::opening(explain(&mut self.inner, transform, op)),
            request => request,
        };
        match self.transform.request(request) {
            Step::Now(Ok((request, pending))) => TransformFuture::calling(self.inner.call(request), pending, transform),
            Step::Now(Err(error)) => {
                unready(&mut self.inner);
                TransformFuture::done(Err(error))
            }
            Step::Answer(response) => {
                unready(&mut self.inner);
                TransformFuture::done(Ok(response))
            }
            Step::Wait(wait) => {
                // The readied service goes into the future; its unready clone stays behind.
                let clone = self.inner.clone();
                TransformFuture::waiting(wait, mem::replace(&mut self.inner, clone), transform)
            }
        }
    }
}
