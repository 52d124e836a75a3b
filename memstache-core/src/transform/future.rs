use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Step, Transform};
use crate::{
    clock::BoxFuture,
    error::{Error, Result},
    request::{Request, Response},
};

pin_project! {
    /// The response of a [`Transformed`](super::Transformed) service.
    ///
    /// # Cancellation
    /// Dropping it drops the call below, or the work that a `Step::Wait` was doing.
    pub struct TransformFuture<S, T>
    where
        S: Service<Request>,
        T: Transform,
    {
        #[pin]
        state: State<S, T, S::Future, T::Pending>,
    }
}

pin_project! {
    #[project = StateProject]
    enum State<S, T, F, P> {
        Waiting { wait: BoxFuture<'static, Result<(Request, P)>>, parts: Option<(S, T)> },
        Calling { #[pin] call: F, parts: Option<(P, T)> },
        Opening { open: BoxFuture<'static, Result<Response>> },
        Done { result: Option<Result<Response>> },
    }
}

impl<S, T> TransformFuture<S, T>
where
    S: Service<Request>,
    T: Transform,
{
    pub(super) fn calling(call: S::Future, pending: T::Pending, transform: T) -> Self {
        Self { state: State::Calling { call, parts: Some((pending, transform)) } }
    }

    pub(super) fn waiting(wait: BoxFuture<'static, Result<(Request, T::Pending)>>, inner: S, transform: T) -> Self {
        Self { state: State::Waiting { wait, parts: Some((inner, transform)) } }
    }

    pub(super) fn opening(open: impl Future<Output = Result<Response>> + Send + 'static) -> Self {
        Self { state: State::Opening { open: Box::pin(open) } }
    }

    pub(super) fn done(result: Result<Response>) -> Self {
        Self { state: State::Done { result: Some(result) } }
    }
}

impl<S, T> std::fmt::Debug for TransformFuture<S, T>
where
    S: Service<Request>,
    T: Transform,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransformFuture").finish_non_exhaustive()
    }
}

impl<S, T> Future for TransformFuture<S, T>
where
    S: Service<Request, Response = Response, Error: Into<Error>>,
    T: Transform,
{
    type Output = Result<Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProject::Waiting { wait, parts } => {
                    let (request, pending) = ready!(wait.as_mut().poll(cx))?;
                    let (mut inner, transform) = parts.take().expect("polled after completion");
                    State::Calling { call: inner.call(request), parts: Some((pending, transform)) }
                }
                StateProject::Calling { call, parts } => {
                    let response = ready!(call.poll(cx)).map_err(Into::into)?;
                    let (pending, transform) = parts.take().expect("polled after completion");
                    match transform.response(pending, response) {
                        Step::Now(result) => return Poll::Ready(result),
                        Step::Answer(response) => return Poll::Ready(Ok(response)),
                        Step::Wait(open) => State::Opening { open },
                    }
                }
                StateProject::Opening { open } => return open.as_mut().poll(cx),
                StateProject::Done { result } => return Poll::Ready(result.take().expect("polled after completion")),
            };
            state.set(next);
        }
    }
}
