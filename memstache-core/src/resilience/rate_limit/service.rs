use std::task::{Context, Poll};

use tower_service::Service;

use super::RateLimitLayer;
use crate::{
    error::{Error, Result},
    request::{Request, Response},
    resilience::GuardedFuture,
    util::unready,
};

/// A stack whose items are bounded in rate; made by [`RateLimitLayer`].
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    layer: RateLimitLayer,
}

impl<S> RateLimit<S> {
    pub(super) const fn new(inner: S, layer: RateLimitLayer) -> Self {
        Self { inner, layer }
    }
}

impl<S> Service<Request> for RateLimit<S>
where
    S: Service<Request, Response = Response, Error: Into<Error>> + Clone,
{
    type Response = Response;
    type Error = Error;
    type Future = GuardedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let items = u32::try_from(request.len()).unwrap_or(u32::MAX);
        let limiter = self.layer.limiter().filter(|_| !request.continues_loads());
        match limiter.map_or(Ok(()), |limiter| limiter.try_take(items)) {
            Ok(()) => GuardedFuture::calling(self.inner.call(request), None),
            Err(error) => {
                unready(&mut self.inner);
                GuardedFuture::refused(error)
            }
        }
    }
}
