//! Waiting no longer than until a deadline.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use memstache_core::{Clock, Tick};

/// Runs a future until `deadline`; `None` when it passed first.
///
/// The timer is made only once the future is pending.
pub(crate) async fn until<F: Future>(clock: &Arc<dyn Clock>, deadline: Option<Tick>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let Some(deadline) = deadline.filter(|deadline| *deadline != Tick::NEVER) else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| clock.sleep_until(deadline));
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}
