//! What the tests and the bench of calls share.

use std::{
    future::Future,
    task::{Context, Poll, Waker},
};

use memstache_core::{Request, Response, Step, Transform};

/// A layer that does nothing.
#[derive(Clone, Copy)]
pub(crate) struct Pass;

impl Transform for Pass {
    type Pending = ();

    fn request(&self, request: Request) -> Step<(Request, ())> {
        Step::Now(Ok((request, ())))
    }

    fn response(&self, (): (), response: Response) -> Step<Response> {
        Step::Now(Ok(response))
    }
}

/// Polls a future that is ready at once.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a hit waits for nothing"),
    }
}
