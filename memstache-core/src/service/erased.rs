//! One call of a stack whose type is erased.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::CacheService;
use crate::{
    clock::BoxFuture,
    error::Result,
    request::{Request, Response},
};

/// A stack that is called by reference.
pub(super) trait Dispatch: Send + Sync {
    fn dispatch(&self, request: Request) -> BoxFuture<'static, Result<Response>>;
}

/// A stack of which one copy is used again by the next call: a copy is a reference count for each layer.
pub(super) struct Reused<S>(Arc<Copies<S>>);

struct Copies<S> {
    stack: S,
    /// Here only between the calls, when it holds no permit: one that is not ready stays with the call that waits.
    spare: Mutex<Option<Box<S>>>,
}

impl<S> Reused<S> {
    pub(super) fn new(stack: S) -> Self {
        Self(Arc::new(Copies { stack, spare: Mutex::new(None) }))
    }
}

impl<S: CacheService> Dispatch for Reused<S> {
    fn dispatch(&self, request: Request) -> BoxFuture<'static, Result<Response>> {
        Box::pin(Call::Asked { copies: Arc::clone(&self.0), copy: None, request: Some(request) })
    }
}

impl<S: Clone> Copies<S> {
    fn take(&self) -> Box<S> {
        let spare = self.spare.try_lock().and_then(|mut spare| spare.take());
        spare.unwrap_or_else(|| Box::new(self.stack.clone()))
    }

    fn give_back(&self, copy: Box<S>) {
        // Whatever was there is dropped when the lock is free again.
        let _other = self.spare.try_lock().map(|mut spare| spare.replace(copy));
    }
}

pin_project! {
    /// A call: nothing of it has begun before it is polled.
    #[project = CallState]
    enum Call<S: Service<Request>> {
        Asked { copies: Arc<Copies<S>>, copy: Option<Box<S>>, request: Option<Request> },
        Called { #[pin] call: S::Future },
    }
}

impl<S: CacheService> Future for Call<S> {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response>> {
        loop {
            let call = match self.as_mut().project() {
                CallState::Called { call } => return call.poll(cx).map_err(Into::into),
                CallState::Asked { copies, copy, request } => {
                    let mut ready = copy.take().unwrap_or_else(|| copies.take());
                    let Poll::Ready(result) = ready.poll_ready(cx) else {
                        *copy = Some(ready);
                        return Poll::Pending;
                    };
                    result.map_err(Into::into)?;
                    let call = ready.call(request.take().expect("polled after completion"));
                    copies.give_back(ready);
                    call
                }
            };
            self.set(Self::Called { call });
        }
    }
}
