use std::task::{Context, Poll};

use tower_service::Service;

use super::{BulkheadLayer, layer::charge};
use crate::{
    error::{Error, Result},
    request::{Request, Response},
    resilience::GuardedFuture,
    util::unready,
};

/// A stack whose calls are bounded in bytes; made by [`BulkheadLayer`].
#[derive(Clone, Debug)]
pub struct Bulkhead<S> {
    inner: S,
    layer: BulkheadLayer,
}

impl<S> Bulkhead<S> {
    pub(super) const fn new(inner: S, layer: BulkheadLayer) -> Self {
        Self { inner, layer }
    }
}

impl<S> Service<Request> for Bulkhead<S>
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
        match self.layer.shares().map_or(Ok(None), |shares| shares.admit(&request, || charge(&request))) {
            Ok(taken) => GuardedFuture::calling(self.inner.call(request), taken),
            Err(error) => {
                unready(&mut self.inner);
                GuardedFuture::refused(error)
            }
        }
    }
}
