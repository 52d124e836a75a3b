//! One call of a stack whose type is erased.

use std::{
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use pin_project_lite::pin_project;

use super::{CacheService, oneshot};
use crate::{
    clock::BoxFuture,
    error::{Error, Result},
    request::{Request, Response},
};

/// A stack that is called by reference.
pub(super) trait Dispatch: Send + Sync {
    fn dispatch(&self, request: Request) -> BoxFuture<'static, Result<Response>>;
}

/// A stack of which one copy is used again by the next call: a copy is a reference count for each layer.
///
/// A copy is here only between the calls, when it holds no permit: one that is not ready goes with the call that waits.
pub(super) struct Reused<S> {
    stack: S,
    spare: Mutex<Option<Box<S>>>,
}

impl<S: Clone> Reused<S> {
    pub(super) const fn new(stack: S) -> Self {
        Self { stack, spare: Mutex::new(None) }
    }

    fn take(&self) -> Box<S> {
        let spare = self.spare.try_lock().and_then(|mut spare| spare.take());
        spare.unwrap_or_else(|| Box::new(self.stack.clone()))
    }

    fn give_back(&self, copy: Box<S>) {
        // Whatever was there is dropped when the lock is free again.
        let _other = self.spare.try_lock().map(|mut spare| spare.replace(copy));
    }
}

impl<S: CacheService> Dispatch for Reused<S> {
    fn dispatch(&self, request: Request) -> BoxFuture<'static, Result<Response>> {
        let mut copy = self.take();
        match copy.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {
                let call = copy.call(request);
                self.give_back(copy);
                Box::pin(Called { call })
            }
            Poll::Ready(Err(error)) => Box::pin(ready(Err(error.into()))),
            Poll::Pending => Box::pin(oneshot(*copy, request)),
        }
    }
}

pin_project! {
    /// A call whose errors become memstache's.
    struct Called<F> {
        #[pin]
        call: F,
    }
}

impl<F, E> Future for Called<F>
where
    F: Future<Output = Result<Response, E>>,
    E: Into<Error>,
{
    type Output = Result<Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response>> {
        self.project().call.poll(cx).map_err(Into::into)
    }
}
