//! One operation on its way: a future without a box of its own.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::core::{Core, cut_off, not_one, unsure};
use crate::{
    address::Address,
    clock::{BoxFuture, Tick},
    error::Result,
    request::{Operation, Request, Response},
};

/// A call of one operation, bounded by its deadline; awaited for its only item. Nothing happens before it is polled.
///
/// # Cancellation
/// Dropping it drops the call wherever it is; a write may or may not have happened.
#[must_use = "futures do nothing unless polled"]
pub struct Call<T> {
    state: State<T>,
}

enum State<T> {
    Failed(Option<Result<T>>),
    Running(Running<T>),
}

struct Running<T> {
    call: BoxFuture<'static, Result<Response>>,
    core: Arc<Core>,
    deadline: Option<Tick>,
    reads: bool,
    /// The key that it changes.
    changes: Option<Address>,
    timer: Option<BoxFuture<'static, ()>>,
    take: fn(Response) -> Result<T>,
}

impl<T> Call<T> {
    pub(super) fn new(core: &Arc<Core>, request: Result<Request>, take: fn(Response) -> Result<T>) -> Self {
        let request = match request {
            Ok(request) => request,
            Err(error) => return Self { state: State::Failed(Some(Err(error))) },
        };
        let (deadline, reads) = (request.scope().deadline, request.is_read());
        let changes = if matches!(request, Request::Set(_) | Request::Remove(_)) {
            request.addresses().next().cloned()
        } else {
            None
        };
        let (call, core) = (core.service.dispatch(request), Arc::clone(core));
        Self { state: State::Running(Running { call, core, deadline, reads, changes, timer: None, take }) }
    }
}

/// Takes the only item out of an operation's answer.
pub(super) fn only<O: Operation<Output = crate::request::OneOrMany<Result<T>>>, T>(response: Response) -> Result<T> {
    O::output(response)?.into_one().unwrap_or_else(|| Err(not_one()))
}

impl<T> Future for Call<T>
where
    Self: Unpin,
{
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let running = match &mut self.state {
            State::Failed(result) => return Poll::Ready(result.take().expect("polled after completion")),
            State::Running(running) => running,
        };
        if let Poll::Ready(response) = running.call.as_mut().poll(cx) {
            running.core.changed(&running.changes);
            return Poll::Ready(response.map_err(|error| unsure(error, running.reads)).and_then(running.take));
        }
        let Some(deadline) = running.deadline else { return Poll::Pending };
        let timer = running.timer.get_or_insert_with(|| running.core.clock.sleep_until(deadline));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(cut_off(running.reads)))
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
