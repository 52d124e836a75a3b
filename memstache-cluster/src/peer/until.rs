//! Waiting no longer than until a deadline.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use memstache_core::{BoxFuture, Clock, Tick};
use pin_project_lite::pin_project;

pin_project! {
    /// A future that is run until a deadline; `None` when that passed first.
    ///
    /// A type of its own: an `async fn` would hold what it is given twice, and calls pass through several of them.
    #[must_use = "futures do nothing unless they are awaited"]
    pub(crate) struct Until<'a, F> {
        #[pin]
        future: F,
        clock: &'a Arc<dyn Clock>,
        deadline: Option<Tick>,
        timer: Option<BoxFuture<'static, ()>>,
    }
}

/// Runs a future until `deadline`; `None` when it passed first.
///
/// The timer is made only once the future is pending.
pub(crate) fn until<F: Future>(clock: &Arc<dyn Clock>, deadline: Option<Tick>, future: F) -> Until<'_, F> {
    let deadline = deadline.filter(|deadline| *deadline != Tick::NEVER);
    Until { future, clock, deadline, timer: None }
}

impl<F: Future> Future for Until<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Some(output));
        }
        let (Some(deadline), clock) = (*this.deadline, *this.clock) else { return Poll::Pending };
        let timer = this.timer.get_or_insert_with(|| clock.sleep_until(deadline));
        timer.as_mut().poll(cx).map(|()| None)
    }
}
