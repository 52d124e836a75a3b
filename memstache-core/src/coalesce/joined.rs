//! A caller's share in a running operation.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::sync::watch;

use super::{
    Landed,
    flight::{Flight, Waiting},
};
use crate::{
    clock::BoxFuture,
    error::{Error, ErrorKind, Result},
};

/// A caller's share in a running operation: a future of its result.
///
/// # Cancellation
/// Dropping it leaves the operation running.
#[must_use = "the operation runs without it, but its result is lost"]
pub struct Joined<V> {
    result: BoxFuture<'static, Result<V>>,
    waiting: Arc<Waiting>,
    abandon: bool,
}

pub(super) fn join<V: Clone + Send + Sync + 'static>(flight: &Flight<V>) -> Joined<V> {
    flight.waiting.join();
    Joined { result: Box::pin(landed(flight.result.clone())), waiting: Arc::clone(&flight.waiting), abandon: false }
}

async fn landed<V: Clone>(mut result: watch::Receiver<Landed<V>>) -> Result<V> {
    match result.wait_for(Option::is_some).await {
        Ok(landed) => landed.clone().expect("waited for it"),
        Err(_) => Err(Error::new(ErrorKind::LoadPanicked, "the task of the operation was torn down")),
    }
}

impl<V> Joined<V> {
    /// Gives up waiting, and stops the operation if nobody else waits for it.
    pub fn abandon(mut self) {
        self.abandon = true;
    }
}

impl<V> Future for Joined<V> {
    type Output = Result<V>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<V>> {
        Poll::Ready(ready!(self.result.as_mut().poll(cx)))
    }
}

impl<V> Drop for Joined<V> {
    fn drop(&mut self) {
        self.waiting.leave(self.abandon);
    }
}

impl<V> fmt::Debug for Joined<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").finish_non_exhaustive()
    }
}
