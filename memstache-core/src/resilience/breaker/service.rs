use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{BreakerFuture, BreakerLayer, Probing, prober::Prober};
use crate::{
    error::{Error, Result},
    request::{Request, Response},
    service::CacheService,
    util::unready,
};

/// A stack behind a circuit breaker; made by [`BreakerLayer`].
#[derive(Clone)]
pub struct BreakerService<S> {
    inner: S,
    layer: BreakerLayer,
    prober: Arc<Prober>,
}

impl<S> BreakerService<S> {
    pub(super) fn new(inner: S, layer: BreakerLayer) -> Self {
        Self { inner, layer, prober: Arc::default() }
    }
}

impl<S: CacheService> Service<Request> for BreakerService<S> {
    type Response = Response;
    type Error = Error;
    type Future = BreakerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Some(breaker) = &self.layer.breaker else { return BreakerFuture::unguarded(self.inner.call(request)) };
        let admitted = breaker.try_call().or_else(|refused| {
            let apart = breaker.probing() == Probing::Apart;
            if apart && !self.prober.run(breaker, &self.inner, self.layer.probe.as_deref()) {
                // Nobody else can probe.
                return breaker.try_probe().ok_or(refused);
            }
            Err(refused)
        });
        match admitted {
            Ok(admitted) => {
                let end = BreakerFuture::<S::Future>::end(&request);
                BreakerFuture::guarded(self.inner.call(request), admitted, end)
            }
            Err(refused) => {
                unready(&mut self.inner);
                BreakerFuture::refused(breaker.refusal(refused))
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for BreakerService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerService").field("inner", &self.inner).field("layer", &self.layer).finish_non_exhaustive()
    }
}
