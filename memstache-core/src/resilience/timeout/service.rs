use std::task::{Context, Poll};

use tower_service::Service;

use super::{TimeoutFuture, TimeoutLayer, future::End};
use crate::{
    clock::Tick,
    error::{Error, Result},
    request::{Get, OnMiss, Request, Response},
};

/// A stack whose attempts are bounded in time; made by [`TimeoutLayer`].
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    layer: TimeoutLayer,
}

impl<S> Timeout<S> {
    pub(super) const fn new(inner: S, layer: TimeoutLayer) -> Self {
        Self { inner, layer }
    }

    /// Says when an attempt must have ended, and tells what is below of the end of a write.
    fn end(&self, request: &mut Request) -> Option<End> {
        let limits = self.layer.limits?;
        if request.is_read() {
            let waits = matches!(request, Request::Get(Get { on_miss: OnMiss::Wait, .. }));
            let deadline = request.scope().deadline;
            return Some(match deadline.filter(|_| waits) {
                Some(deadline) => End { after: None, at: deadline.after(limits.read) },
                // At the deadline at the latest, so that what is above can do without.
                None => End { after: Some(limits.read), at: deadline.unwrap_or(Tick::NEVER) },
            });
        }
        // A bound will do: it may be early by some milliseconds, never late.
        let end = self.layer.clock.lower_bound().after(limits.write);
        let deadline = &mut request.scope_mut().deadline;
        let end = deadline.map_or(end, |deadline| deadline.min(end));
        *deadline = Some(end);
        Some(End { after: None, at: end })
    }
}

impl<S> Service<Request> for Timeout<S>
where
    S: Service<Request, Response = Response, Error: Into<Error>>,
{
    type Response = Response;
    type Error = Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let reads = request.is_read();
        let end = self.end(&mut request);
        TimeoutFuture::new(self.inner.call(request), &self.layer, end, reads)
    }
}
