use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{Observed, Recorder, Told};
use crate::clock::{Clock, SystemClock};

/// Watches what goes through a stack: a span, and a report to a [`Recorder`], for each call.
///
/// It belongs outermost, into [`Stack::observe`](crate::Stack::observe). Clones share the recorder.
pub struct ObserveLayer<R> {
    recorder: Arc<R>,
    clock: Arc<dyn Clock>,
}

/// What all calls of a layer share.
pub(super) struct Watch<R> {
    pub(super) recorder: Told<R>,
    pub(super) clock: Arc<dyn Clock>,
}

impl<R: Recorder> ObserveLayer<R> {
    /// Creates the layer.
    pub fn new(recorder: R) -> Self {
        Self { recorder: Arc::new(recorder), clock: Arc::new(SystemClock::new()) }
    }

    /// Chooses the clock; it should be the stack's. Default: the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl<S, R: Recorder> Layer<S> for ObserveLayer<R> {
    type Service = Observed<S, R>;

    fn layer(&self, inner: S) -> Observed<S, R> {
        let watch = Watch { recorder: Told::new(Arc::clone(&self.recorder)), clock: Arc::clone(&self.clock) };
        Observed::new(inner, Arc::new(watch))
    }
}

impl<R> Clone for ObserveLayer<R> {
    fn clone(&self) -> Self {
        Self { recorder: Arc::clone(&self.recorder), clock: Arc::clone(&self.clock) }
    }
}

impl<R: fmt::Debug> fmt::Debug for ObserveLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObserveLayer").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}
