//! One operation on its way: a future without a box of its own.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::core::{Core, cut_off, not_one, unsure};
use crate::{
    address::Address,
    clock::{BoxFuture, Tick},
    error::Result,
    request::{Operation, Request, Response},
};

/// A call of one operation. Nothing happens before it is polled.
///
/// # Cancellation
/// Dropping it drops the call wherever it is; a write may or may not have happened.
#[must_use = "futures do nothing unless polled"]
pub struct Call<T> {
    core: Arc<Core>,
    limit: Option<Duration>,
    state: State<T>,
    take: fn(Response) -> Result<T>,
}

enum State<T> {
    /// Answered without a request.
    Answered(Option<T>),
    /// With the request, until it is sent.
    Unsent(Option<Result<Request>>),
    Running(Running),
}

struct Running {
    call: BoxFuture<'static, Result<Response>>,
    deadline: Tick,
    reads: bool,
    /// How many items are to be answered.
    count: usize,
    /// The key that it changes.
    changes: Option<Address>,
    /// Whether it changes whole spaces.
    invalidates: bool,
    timer: Option<BoxFuture<'static, ()>>,
}

impl<T> Call<T> {
    pub(super) fn new(core: &Arc<Core>, request: Result<Request>, take: fn(Response) -> Result<T>) -> Self {
        Self { core: Arc::clone(core), limit: None, state: State::Unsent(Some(request)), take }
    }

    /// A call that has nothing to ask.
    pub(super) fn answered(core: &Arc<Core>, answer: T, take: fn(Response) -> Result<T>) -> Self {
        Self { core: Arc::clone(core), limit: None, state: State::Answered(Some(answer)), take }
    }

    /// Bounds the call, from when it is first polled. Default: the cache's store timeout.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    fn send(&self, request: Result<Request>) -> Result<Running> {
        let (core, mut request) = (&self.core, request?);
        let deadline = core.own_deadline(self.limit)?;
        request.scope_mut().deadline = Some(deadline);
        let writes = matches!(request, Request::Set(_) | Request::Remove(_));
        let changes = request.addresses().next().filter(|_| writes).cloned();
        changes.iter().for_each(|address| core.flights.forget(address));
        let (reads, count, invalidates) = (request.is_read(), request.len(), matches!(request, Request::Invalidate(_)));
        Ok(Running { call: core.service.dispatch(request), deadline, reads, count, changes, invalidates, timer: None })
    }
}

/// Takes the only item out of an operation's answer.
pub(super) fn only<O: Operation<Output = crate::request::OneOrMany<Result<T>>>, T>(response: Response) -> Result<T> {
    O::output(response)?.into_one().unwrap_or_else(|| Err(not_one()))
}

impl<T> Unpin for Call<T> {}

impl<T> Future for Call<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if let State::Answered(answer) = &mut self.state {
            return Poll::Ready(Ok(answer.take().expect("polled after completion")));
        }
        if let State::Unsent(request) = &mut self.state {
            let request = request.take().expect("polled after completion");
            let running = self.send(request)?;
            self.state = State::Running(running);
        }
        let Self { core, state, take, .. } = &mut *self;
        let State::Running(running) = state else { unreachable!("sent above") };
        if let Poll::Ready(response) = running.call.as_mut().poll(cx) {
            core.changed(&running.changes);
            if running.invalidates {
                core.changed_spaces();
            }
            let response = response.map_err(|error| unsure(error, running.reads))?;
            return Poll::Ready(if response.len() == running.count { take(response) } else { Err(not_one()) });
        }
        let timer = running.timer.get_or_insert_with(|| core.clock.sleep_until(running.deadline));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(cut_off(running.reads)))
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
