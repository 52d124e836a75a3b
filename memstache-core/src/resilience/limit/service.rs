use std::task::{Context, Poll};

use futures_util::future::Either;
use tower::util::Oneshot;
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
    place: Place,
}

/// What became of asking for a place.
#[derive(Debug)]
enum Place {
    NotAsked,
    Taken(Taken),
    /// The limit is reached; the stack below may not be ready.
    None,
}

impl<S> Limit<S> {
    pub(super) const fn new(inner: S, layer: LimitLayer) -> Self {
        Self { inner, layer, place: Place::NotAsked }
    }
}

impl<S: Clone> Clone for Limit<S> {
    fn clone(&self) -> Self {
        // A place is one call's.
        Self::new(self.inner.clone(), self.layer.clone())
    }
}

impl<S> Service<Request> for Limit<S>
where
    S: Service<Request, Response = Response, Error: Into<Error>> + Clone,
{
    type Response = Response;
    type Error = Error;
    type Future = Either<GuardedFuture<S::Future>, GuardedFuture<Oneshot<S, Request>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let (Some(shares), Place::NotAsked | Place::None) = (&self.layer.0, &self.place) {
            self.place = shares.calls.try_take(1).map_or(Place::None, Place::Taken);
        }
        match self.place {
            // The call says so, if it needs a place.
            Place::None => Poll::Ready(Ok(())),
            Place::Taken(_) | Place::NotAsked => self.inner.poll_ready(cx).map_err(Into::into),
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let place = std::mem::replace(&mut self.place, Place::NotAsked);
        let Some(shares) = &self.layer.0 else {
            return Either::Left(GuardedFuture::calling(self.inner.call(request), None));
        };
        let apart = request.continues_loads() || request.waits();
        match place {
            Place::Taken(taken) if !apart => {
                Either::Left(GuardedFuture::calling(self.inner.call(request), Some(taken)))
            }
            Place::None if !apart => Either::Left(GuardedFuture::refused(shares.calls.refuse())),
            place => match shares.admit(&request, || 1) {
                Err(error) => Either::Left(GuardedFuture::refused(error)),
                // It was let through without asking whether the stack below is ready.
                Ok(taken) if matches!(place, Place::None) => {
                    Either::Right(GuardedFuture::calling(Oneshot::new(self.inner.clone(), request), taken))
                }
                Ok(taken) => Either::Left(GuardedFuture::calling(self.inner.call(request), taken)),
            },
        }
    }
}
