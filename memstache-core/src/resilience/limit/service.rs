use std::task::{Context, Poll};

use tower_service::Service;

use super::LimitLayer;
use crate::{
    error::{Error, Result},
    request::{Request, Response},
    resilience::{GuardedFuture, share::Taken},
};

/// A stack whose calls are bounded in number; made by [`LimitLayer`].
///
/// Its place is taken as soon as it is asked for readiness, so that who waits for a stack below that is not ready
/// counts too.
#[derive(Debug)]
pub struct Limit<S> {
    inner: S,
    layer: LimitLayer,
    place: Option<Result<Taken>>,
}

impl<S> Limit<S> {
    pub(super) const fn new(inner: S, layer: LimitLayer) -> Self {
        Self { inner, layer, place: None }
    }

    fn take(&mut self) -> Option<Result<Taken>> {
        self.place.take().or_else(|| self.layer.0.as_ref().map(|share| share.try_take(1)))
    }
}

impl<S: Clone> Clone for Limit<S> {
    fn clone(&self) -> Self {
        // A place is one call's.
        Self { inner: self.inner.clone(), layer: self.layer.clone(), place: None }
    }
}

impl<S> Service<Request> for Limit<S>
where
    S: Service<Request, Response = Response, Error: Into<Error>>,
{
    type Response = Response;
    type Error = Error;
    type Future = GuardedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.place = self.take();
        match self.place {
            // The call says so.
            Some(Err(_)) => Poll::Ready(Ok(())),
            Some(Ok(_)) | None => self.inner.poll_ready(cx).map_err(Into::into),
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.take() {
            Some(Err(error)) => GuardedFuture::refused(error),
            Some(Ok(taken)) => GuardedFuture::calling(self.inner.call(request), Some(taken)),
            None => GuardedFuture::calling(self.inner.call(request), None),
        }
    }
}
