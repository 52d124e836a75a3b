use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tracing::Span;

use super::{CallResult, ObservedCall, OperationKind, Recorder, layer::Watch, span};
use crate::{
    error::{Error, Result},
    request::{OneOrMany, Request, Response},
};

pin_project! {
    /// The response of an [`Observed`](super::Observed) service.
    ///
    /// # Cancellation
    /// Dropping it drops the call below, which is reported as cancelled.
    pub struct ObserveFuture<F, R: Recorder> {
        #[pin]
        inner: F,
        pending: Pending<R>,
    }
}

impl<F, R: Recorder> ObserveFuture<F, R> {
    pub(super) const fn new(inner: F, pending: Pending<R>) -> Self {
        Self { inner, pending }
    }
}

impl<F, E, R> Future for ObserveFuture<F, R>
where
    F: Future<Output = Result<Response, E>>,
    E: Into<Error>,
    R: Recorder,
{
    type Output = Result<Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response>> {
        let this = self.project();
        let result = ready!(this.pending.watching(|| this.inner.poll(cx))).map_err(Into::into);
        this.pending.end(result_of(&result));
        Poll::Ready(result)
    }
}

impl<F, R: Recorder> fmt::Debug for ObserveFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveFuture").finish_non_exhaustive()
    }
}

/// A call that has not ended: dropped, it is reported as what it then is.
pub(super) struct Pending<R: Recorder> {
    watch: Arc<Watch<R>>,
    operation: OperationKind,
    items: usize,
    started: Duration,
    span: Span,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// The layers below are running; if they do not come back, they panicked.
    Running,
    Ended,
}

impl<R: Recorder> Pending<R> {
    pub(super) fn new(watch: Arc<Watch<R>>, request: &Request) -> Self {
        let (operation, items) = (OperationKind::from(request), request.len());
        let (span, started) = (span::call(operation, request), watch.began(request.scope()));
        Self { watch, operation, items, started, span, state: State::Waiting }
    }

    /// Runs a part of the call, in its span.
    pub(super) fn watching<T>(&mut self, part: impl FnOnce() -> T) -> T {
        self.state = State::Running;
        let result = self.span.in_scope(part);
        self.state = State::Waiting;
        result
    }

    fn end(&mut self, result: CallResult) {
        self.state = State::Ended;
        let duration = self.watch.since(self.started);
        self.watch.recorder.call(&ObservedCall::new(self.operation, result, self.items, duration));
        span::ended(&self.span, result);
    }
}

impl<R: Recorder> Drop for Pending<R> {
    fn drop(&mut self) {
        match self.state {
            State::Ended => {}
            State::Waiting => self.end(CallResult::Cancelled),
            State::Running => self.end(CallResult::Panicked),
        }
    }
}

/// How a call ended: by its own error, else by the first of its items'.
fn result_of(result: &Result<Response>) -> CallResult {
    let error = match result {
        Err(error) => Some(error),
        Ok(Response::Found(items)) => first(items),
        Ok(Response::Stored(items)) => first(items),
        Ok(Response::Removed(items) | Response::Touched(items)) => first(items),
        Ok(Response::Invalidated(items)) => first(items),
        Ok(Response::Explained(items)) => first(items),
    };
    error.map_or(CallResult::Ok, |error| CallResult::Error(error.kind()))
}

fn first<T>(items: &OneOrMany<Result<T>>) -> Option<&Error> {
    items.iter().find_map(|item| item.as_ref().err())
}
