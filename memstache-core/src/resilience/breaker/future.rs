use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{Admitted, CircuitBreaker, Verdict};
use crate::{
    clock::Tick,
    error::{Error, Result},
    request::{Get, OnMiss, Request, Response},
};

pin_project! {
    /// The response of a [`BreakerService`](super::BreakerService).
    ///
    /// # Cancellation
    /// Dropped before the deadline of its request, it says nothing about what was called; after it, it is a failure.
    #[derive(Debug)]
    pub struct BreakerFuture<F> {
        #[pin]
        call: Option<F>,
        guard: Guard,
        refused: Option<Error>,
    }
}

/// What takes note of how the call ends, even if it is dropped.
#[derive(Debug)]
struct Guard {
    admitted: Option<Admitted>,
    /// From when on a caller who leaves was kept waiting.
    end: Option<Tick>,
}

impl<F> BreakerFuture<F> {
    pub(super) const fn unguarded(call: F) -> Self {
        Self { call: Some(call), guard: Guard { admitted: None, end: None }, refused: None }
    }

    pub(super) const fn guarded(call: F, admitted: Admitted, end: Option<Tick>) -> Self {
        Self { call: Some(call), guard: Guard { admitted: Some(admitted), end }, refused: None }
    }

    pub(super) const fn refused(error: Error) -> Self {
        Self { call: None, guard: Guard { admitted: None, end: None }, refused: Some(error) }
    }

    /// Returns until when a request is to be answered. One that waits for a lease says nothing by not being answered.
    pub(super) fn end(request: &Request) -> Option<Tick> {
        match request {
            Request::Get(Get { on_miss: OnMiss::Wait, .. }) => None,
            request => request.scope().deadline,
        }
    }
}

impl<F, E> Future for BreakerFuture<F>
where
    F: Future<Output = Result<Response, E>>,
    E: Into<Error>,
{
    type Output = Result<Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response>> {
        let this = self.project();
        let Some(call) = this.call.as_pin_mut() else {
            return Poll::Ready(Err(this.refused.take().expect("polled after completion")));
        };
        let result = ready!(call.poll(cx)).map_err(Into::into);
        if let Some(admitted) = this.guard.admitted.take() {
            let verdict = judge(admitted.breaker(), &result);
            admitted.record(verdict);
        }
        Poll::Ready(result)
    }
}

/// Judges an answer: a batch is a failure if nothing in it was answered.
pub(super) fn judge(breaker: &CircuitBreaker, result: &Result<Response>) -> Verdict {
    let response = match result {
        Ok(response) => response,
        Err(error) => return breaker.judge(error),
    };
    let mut verdict = Verdict::Success;
    for error in (0..response.len()).map(|place| response.error_at(place)) {
        let Some(error) = error else { return Verdict::Success };
        match breaker.judge(error) {
            Verdict::Success => return Verdict::Success,
            Verdict::Failure => verdict = Verdict::Failure,
            Verdict::Ignored if verdict == Verdict::Success => verdict = Verdict::Ignored,
            Verdict::Ignored => {}
        }
    }
    verdict
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let (Some(admitted), Some(end)) = (self.admitted.take(), self.end) {
            let late = admitted.breaker().clock().now() >= end;
            admitted.record(if late { Verdict::Failure } else { Verdict::Ignored });
        }
    }
}
