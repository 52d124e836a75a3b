use std::task::{Context, Poll};

use tower_service::Service;

use super::{CacheFor, Memo, MemoKey, MemoizeFuture, recall::recall};
use crate::{cache::Cache, error::BoxError};

/// A service that answers from a cache, and calls the inner one for what is not there.
///
/// It is always ready: a hit does not wait for the inner service. A miss readies a clone of it, inside the call; the
/// copy that is kept here is never polled, so it holds no permit that a clone waits for.
#[derive(Clone, Debug)]
pub struct Memoize<S, C, M> {
    inner: S,
    cache: C,
    memo: M,
}

impl<S, C, M> Memoize<S, C, M> {
    /// Creates the service.
    pub const fn new(inner: S, cache: C, memo: M) -> Self {
        Self { inner, cache, memo }
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Says where a request's response is cached; `None` if it is not.
    fn place<Req>(&self, request: &Req) -> Option<(Cache<C::Format>, MemoKey)>
    where
        C: CacheFor<Req>,
        M: Memo<Req, S::Response>,
        S: Service<Req>,
    {
        let key = self.memo.key(request).filter(MemoKey::fits)?;
        Some((self.cache.cache_for(request)?, key))
    }
}

impl<S, C, M, Req> Service<Req> for Memoize<S, C, M>
where
    S: Service<Req, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    S::Response: Send,
    C: CacheFor<Req>,
    M: Memo<Req, S::Response>,
    Req: Send + 'static,
{
    type Response = M::Answer;
    type Error = M::Error;
    type Future = MemoizeFuture<S, M, Req>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let (inner, memo) = (self.inner.clone(), self.memo.clone());
        match self.place(&request) {
            Some((cache, key)) => MemoizeFuture::recalling(Box::pin(recall(cache, key, memo, inner, request))),
            None => MemoizeFuture::passing(inner, request, memo),
        }
    }
}
