use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{clock::BoxFuture, error::Result, request::Response};

/// The response of a [`Near`](super::Near) service: ready at once on a hit, boxed on the way below.
pub struct NearFuture(State);

enum State {
    Ready(Option<Response>),
    Below(BoxFuture<'static, Result<Response>>),
}

impl NearFuture {
    pub(super) fn ready(response: Response) -> Self {
        Self(State::Ready(Some(response)))
    }

    pub(super) fn below(future: impl Future<Output = Result<Response>> + Send + 'static) -> Self {
        Self(State::Below(Box::pin(future)))
    }
}

impl Future for NearFuture {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(response) => Poll::Ready(Ok(response.take().expect("polled after completion"))),
            State::Below(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for NearFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearFuture").finish_non_exhaustive()
    }
}
