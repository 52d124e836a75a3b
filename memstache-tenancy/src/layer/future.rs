use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Response, header::VARY};
use pin_project_lite::pin_project;

use super::TenantBody;

pin_project! {
    /// The response of a [`TenantService`](super::TenantService).
    ///
    /// # Cancellation
    /// Dropping it drops the inner call.
    pub struct TenantFuture<Fut, B> {
        #[pin]
        state: State<Fut, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<Fut, B> {
        Passed { #[pin] call: Fut, vary: Option<HeaderValue> },
        Refused { response: Option<Response<TenantBody<B>>> },
    }
}

impl<Fut, B> TenantFuture<Fut, B> {
    pub(super) const fn passed(call: Fut, vary: Option<HeaderValue>) -> Self {
        Self { state: State::Passed { call, vary } }
    }

    pub(super) const fn refused(response: Response<TenantBody<B>>) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }
}

impl<Fut, B, E> Future for TenantFuture<Fut, B>
where
    Fut: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<TenantBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Passed { call, vary } => {
                let mut response = ready!(call.poll(cx))?.map(TenantBody::inner);
                if let Some(vary) = vary.take() {
                    response.headers_mut().append(VARY, vary);
                }
                Poll::Ready(Ok(response))
            }
            StateProj::Refused { response } => {
                Poll::Ready(Ok(response.take().expect("a future is not polled after it was ready")))
            }
        }
    }
}

impl<Fut, B> fmt::Debug for TenantFuture<Fut, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantFuture").field("refused", &matches!(self.state, State::Refused { .. })).finish()
    }
}
