use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::share::Taken;
use crate::{
    error::{Error, Result},
    request::Response,
};

pin_project! {
    /// The response of a layer that lets a call through, holding what it takes until it ends, or refuses it.
    ///
    /// # Cancellation
    /// Dropping it gives back what it holds.
    #[derive(Debug)]
    pub struct GuardedFuture<F> {
        #[pin]
        call: Option<F>,
        taken: Option<Taken>,
        refused: Option<Error>,
    }
}

impl<F> GuardedFuture<F> {
    pub(super) const fn calling(call: F, taken: Option<Taken>) -> Self {
        Self { call: Some(call), taken, refused: None }
    }

    pub(super) const fn refused(error: Error) -> Self {
        Self { call: None, taken: None, refused: Some(error) }
    }
}

impl<F, E> Future for GuardedFuture<F>
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
        let result = ready!(call.poll(cx));
        drop(this.taken.take());
        Poll::Ready(result.map_err(Into::into))
    }
}
