//! A bound in real time, for what no timer of the runtime can end.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    task::Poll,
    thread,
    time::Duration,
};

use futures_util::task::AtomicWaker;

use super::expect::Outcome;
use crate::clock::BoxFuture;

#[derive(Default)]
struct Alarm {
    rang: AtomicBool,
    waker: AtomicWaker,
}

/// Runs a case until it ends or `bound` has passed in real time; `None` then.
///
/// Under paused time a timeout comes only when the runtime is idle, and a store that looks again and again never lets
/// it be; so a thread rings.
pub(super) async fn watched(mut case: BoxFuture<'_, Outcome>, bound: Duration) -> Option<Outcome> {
    let alarm = Arc::new(Alarm::default());
    // Dropped with this future, which ends the thread.
    let (_ended, ends) = mpsc::channel::<()>();
    let bell = Arc::clone(&alarm);
    thread::spawn(move || {
        if ends.recv_timeout(bound) == Err(RecvTimeoutError::Timeout) {
            bell.rang.store(true, Ordering::Release);
            bell.waker.wake();
        }
    });
    poll_fn(|cx| {
        alarm.waker.register(cx.waker());
        if alarm.rang.load(Ordering::Acquire) { Poll::Ready(None) } else { case.as_mut().poll(cx).map(Some) }
    })
    .await
}
