use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Memo, recall::inner_failed};
use crate::{clock::BoxFuture, error::BoxError};

pin_project! {
    /// The answer of a [`Memoize`](super::Memoize) service.
    ///
    /// # Cancellation
    /// Dropping it leaves a call that it started to the others who wait for it; a call that is passed by is dropped.
    #[must_use = "futures do nothing unless polled"]
    pub struct MemoizeFuture<S, M, Req>
    where
        S: Service<Req>,
        M: Memo<Req, S::Response>,
    {
        #[pin]
        state: State<S, M, Req, S::Future, Result<M::Answer, M::Error>>,
    }
}

pin_project! {
    #[project = StateProject]
    enum State<S, M, Req, F, R> {
        Recalling { answer: BoxFuture<'static, R> },
        Readying { parts: Option<(S, M, Req)> },
        Calling { #[pin] call: F, memo: M },
    }
}

impl<S, M, Req> MemoizeFuture<S, M, Req>
where
    S: Service<Req>,
    M: Memo<Req, S::Response>,
{
    pub(super) fn recalling(answer: BoxFuture<'static, Result<M::Answer, M::Error>>) -> Self {
        Self { state: State::Recalling { answer } }
    }

    pub(super) fn passing(inner: S, request: Req, memo: M) -> Self {
        Self { state: State::Readying { parts: Some((inner, memo, request)) } }
    }
}

impl<S, M, Req> Future for MemoizeFuture<S, M, Req>
where
    S: Service<Req, Error: Into<BoxError>>,
    M: Memo<Req, S::Response>,
{
    type Output = Result<M::Answer, M::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProject::Recalling { answer } => return answer.as_mut().poll(cx),
                StateProject::Readying { parts } => {
                    let (inner, ..) = parts.as_mut().expect("polled after completion");
                    let ready = ready!(inner.poll_ready(cx));
                    let (mut inner, memo, request) = parts.take().expect("it was there");
                    match ready {
                        Ok(()) => State::Calling { call: inner.call(request), memo },
                        Err(error) => return Poll::Ready(memo.fail(inner_failed(error))),
                    }
                }
                StateProject::Calling { call, memo } => {
                    return Poll::Ready(match ready!(call.poll(cx)) {
                        Ok(response) => Ok(memo.pass(response)),
                        Err(error) => memo.fail(inner_failed(error)),
                    });
                }
            };
            state.set(next);
        }
    }
}

impl<S, M, Req> fmt::Debug for MemoizeFuture<S, M, Req>
where
    S: Service<Req>,
    M: Memo<Req, S::Response>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoizeFuture").finish_non_exhaustive()
    }
}
