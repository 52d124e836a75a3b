use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::TimeoutLayer;
use crate::{
    clock::{BoxFuture, Tick},
    error::{Error, ErrorKind, Result},
    request::Response,
};

/// When an attempt must have ended.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// So long after it was first waited for.
    pub(super) after: Option<Duration>,
    /// And by then.
    pub(super) at: Tick,
}

pin_project! {
    /// The response of a [`Timeout`](super::Timeout) service.
    ///
    /// # Cancellation
    /// Dropping it drops the attempt; a write may or may not have happened.
    pub struct TimeoutFuture<F> {
        #[pin]
        call: F,
        // Where there is no end there is no need of it.
        layer: Option<TimeoutLayer>,
        end: Option<End>,
        reads: bool,
        timer: Option<BoxFuture<'static, ()>>,
    }
}

impl<F> TimeoutFuture<F> {
    pub(super) fn new(call: F, layer: &TimeoutLayer, end: Option<End>, reads: bool) -> Self {
        Self { call, layer: end.map(|_| layer.clone()), end, reads, timer: None }
    }
}

impl<F, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<Response, E>>,
    E: Into<Error>,
{
    type Output = Result<Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response>> {
        let this = self.project();
        if let Poll::Ready(result) = this.call.poll(cx) {
            return Poll::Ready(result.map_err(Into::into));
        }
        let (Some(layer), Some(end)) = (this.layer, *this.end) else { return Poll::Pending };
        let timer = this.timer.get_or_insert_with(|| {
            let after = end.after.map_or(Tick::NEVER, |span| layer.clock.now().after(span));
            layer.clock.sleep_until(after.min(end.at))
        });
        ready!(timer.as_mut().poll(cx));
        layer.count.fetch_add(1, Relaxed);
        Poll::Ready(Err(if *this.reads {
            Error::new(ErrorKind::Timeout, "an attempt to read did not end in time")
        } else {
            Error::new(ErrorKind::Unknown, "an attempt to write did not end in time; it may or may not have happened")
        }))
    }
}

impl<F> fmt::Debug for TimeoutFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutFuture").field("reads", &self.reads).finish_non_exhaustive()
    }
}
