//! Small futures that several modules need.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{
    clock::{BoxFuture, Clock, Tick},
    error::Error,
};

pin_project! {
    /// A future that is run until a deadline; `None` when that passed first.
    ///
    /// A type of its own: an `async fn` would hold what it is given twice, and loads pass through several of them.
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
/// The timer is made only once the future is pending, so a call that is answered at once costs none.
pub(crate) fn until<F: Future>(clock: &Arc<dyn Clock>, deadline: Option<Tick>, future: F) -> Until<'_, F> {
    Until { future, clock, deadline, timer: None }
}

impl<F: Future> Future for Until<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Some(output));
        }
        let Some(deadline) = *this.deadline else { return Poll::Pending };
        let clock = *this.clock;
        let timer = this.timer.get_or_insert_with(|| clock.sleep_until(deadline));
        timer.as_mut().poll(cx).map(|()| None)
    }
}

pin_project! {
    /// A future whose poll is a call of its own.
    ///
    /// In an `async fn` that mostly answers at once, what it awaits otherwise would make every call pay for its stack and
    /// its states.
    #[must_use = "futures do nothing unless they are awaited"]
    pub(crate) struct Outlined<F> {
        #[pin]
        pub(crate) future: F,
    }
}

impl<F: Future> Future for Outlined<F> {
    type Output = F::Output;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

/// Lets go of what a service was made ready with, where it is not called after all: its permit would be kept until the
/// next call.
pub(crate) fn unready<S: Clone>(service: &mut S) {
    let clone = service.clone();
    drop(std::mem::replace(service, clone));
}

/// The error of a call whose deadline passed.
pub(crate) fn timed_out(what: &'static str) -> Error {
    Error::new(crate::error::ErrorKind::Timeout, what)
}

/// The error of a layer that answered something that does not belong to the question.
#[cfg(feature = "near")]
pub(crate) fn protocol(what: &'static str) -> Error {
    Error::new(crate::error::ErrorKind::Protocol, what)
}

/// Whole milliseconds of a span, rounded down, saturating.
pub(crate) fn whole_millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A number of 0..=1, whatever a source of random ones brought: NaN is 0.
pub(crate) const fn in_unit(number: f64) -> f64 {
    // Not `clamp`, which keeps NaN.
    number.max(0.0).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_brought_into_the_unit_interval() {
        for (given, is) in [(0.5, 0.5), (-1.0, 0.0), (2.0, 1.0), (f64::NAN, 0.0), (f64::INFINITY, 1.0)] {
            assert_eq!(in_unit(given), is, "{given}");
        }
    }
}
