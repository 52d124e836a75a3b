use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{Observed, Recorder, Told};
use crate::{
    clock::{Clock, SystemClock},
    request::Scope,
};

/// Watches what goes through a stack: a span, and a report to a [`Recorder`], for each call.
///
/// It belongs outermost, into [`Stack::observe`](crate::Stack::observe). Clones share the recorder.
pub struct ObserveLayer<R> {
    recorder: Arc<R>,
    /// `None`: the system's.
    clock: Option<Arc<dyn Clock>>,
}

/// What all calls of a layer share.
pub(super) struct Watch<R> {
    pub(super) recorder: Told<R>,
    /// `None`: the system's.
    pub(super) clock: Option<Arc<dyn Clock>>,
}

impl<R> Watch<R> {
    /// When a call begins: as it says itself, if that was measured by the same clock.
    pub(super) fn began(&self, scope: &Scope) -> Duration {
        let told = scope.begun.filter(|_| self.clock.is_none());
        told.unwrap_or_else(|| self.elapsed())
    }

    /// How long it has been since a call began.
    pub(super) fn since(&self, began: Duration) -> Duration {
        self.elapsed().saturating_sub(began)
    }

    fn elapsed(&self) -> Duration {
        self.clock.as_ref().map_or_else(|| SystemClock::new().elapsed(), Clock::elapsed)
    }
}

impl<R: Recorder> ObserveLayer<R> {
    /// Creates the layer.
    pub fn new(recorder: R) -> Self {
        Self { recorder: Arc::new(recorder), clock: None }
    }

    /// Chooses the clock; it should be the stack's. Default: the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }
}

impl<S, R: Recorder> Layer<S> for ObserveLayer<R> {
    type Service = Observed<S, R>;

    fn layer(&self, inner: S) -> Observed<S, R> {
        let watch = Watch { recorder: Told::new(Arc::clone(&self.recorder)), clock: self.clock.clone() };
        Observed::new(inner, Arc::new(watch))
    }
}

impl<R> Clone for ObserveLayer<R> {
    fn clone(&self) -> Self {
        Self { recorder: Arc::clone(&self.recorder), clock: self.clock.clone() }
    }
}

impl<R: fmt::Debug> fmt::Debug for ObserveLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveLayer").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}
