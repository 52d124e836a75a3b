//! A recorder as calls tell it: its panic is not theirs.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::{Ending, Event, ObservedCall, Recorder};

/// Tells a recorder until it panics, and nothing from then on.
///
/// Hooks are called while calls are torn down: a second panic there would end the process.
pub(crate) struct Told<R: ?Sized> {
    recorder: Arc<R>,
    muted: AtomicBool,
}

impl<R: Recorder + ?Sized> Told<R> {
    pub(crate) const fn new(recorder: Arc<R>) -> Self {
        Self { recorder, muted: AtomicBool::new(false) }
    }

    #[inline]
    pub(crate) fn request(&self, ending: Ending, count: u64) {
        self.tell(|recorder| recorder.request(ending, count));
    }

    pub(crate) fn call(&self, call: &ObservedCall) {
        self.tell(|recorder| recorder.call(call));
    }

    pub(crate) fn event(&self, event: &Event) {
        self.tell(|recorder| recorder.event(event));
    }

    #[inline]
    fn tell(&self, hook: impl FnOnce(&R)) {
        if self.muted.load(Relaxed) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| hook(&self.recorder))).is_err() {
            self.muted.store(true, Relaxed);
            tracing::error!("a recorder panicked: it is told nothing more");
        }
    }
}

impl<R: fmt::Debug + ?Sized> fmt::Debug for Told<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.recorder.fmt(f)
    }
}
