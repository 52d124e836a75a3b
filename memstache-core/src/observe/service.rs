use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{ObserveFuture, Recorder, future::Pending, layer::Watch};
use crate::{
    error::{Error, Result},
    request::{Request, Response},
};

/// A stack whose calls are watched.
pub struct Observed<S, R> {
    inner: S,
    watch: Arc<Watch<R>>,
}

impl<S, R> Observed<S, R> {
    pub(super) const fn new(inner: S, watch: Arc<Watch<R>>) -> Self {
        Self { inner, watch }
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, R> Service<Request> for Observed<S, R>
where
    S: Service<Request, Response = Response, Error: Into<Error>>,
    R: Recorder,
{
    type Response = Response;
    type Error = Error;
    type Future = ObserveFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let mut pending = Pending::new(Arc::clone(&self.watch), &request);
        // What the layers below do before they return a future belongs to the call as well.
        let inner = pending.watching(|| self.inner.call(request));
        ObserveFuture::new(inner, pending)
    }
}

impl<S: Clone, R> Clone for Observed<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), watch: Arc::clone(&self.watch) }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Observed<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("inner", &self.inner).finish_non_exhaustive()
    }
}
