use std::{
    fmt, mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use memstache_core::Format;
use tower_service::Service;

use super::{TenantBody, TenantFuture, TenantLayer};

/// A service whose requests have a tenant; made by [`TenantLayer`].
#[derive(Clone)]
pub struct TenantService<S, F> {
    inner: S,
    layer: TenantLayer<F>,
}

impl<S, F> TenantService<S, F> {
    pub(super) const fn new(inner: S, layer: TenantLayer<F>) -> Self {
        Self { inner, layer }
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, F, B, R> Service<Request<B>> for TenantService<S, F>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    F: Format,
{
    type Response = Response<TenantBody<R>>;
    type Error = S::Error;
    type Future = TenantFuture<S::Future, R>;

    /// Ready when the inner service is, so that load is shed and held back above, where all requests are seen.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let resolver = self.layer.resolver();
        match self.layer.prepare(&mut parts) {
            Ok(()) => {
                let vary = resolver.vary().cloned();
                TenantFuture::passed(self.inner.call(Request::from_parts(parts, body)), vary)
            }
            Err(refusal) => {
                tracing::debug!(reason = refusal.as_str(), "a request was refused: it has no tenant");
                // What the inner service was made ready with, such as a permit, would be held until the next call: on a
                // connection that is kept alive, for as long as its client likes.
                let unready = self.inner.clone();
                drop(mem::replace(&mut self.inner, unready));
                TenantFuture::refused(resolver.response(refusal, &parts))
            }
        }
    }
}

impl<S: fmt::Debug, F> fmt::Debug for TenantService<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantService").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}
