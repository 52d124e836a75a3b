//! Work that takes too long for an async thread.

use std::{panic, sync::Arc};

use memstache_core::{Error, ErrorKind, Step};
use tokio::runtime::Handle;

use super::{Inner, stats::bump};

/// How many bytes a call may still work on where it is, and where it goes on after that.
pub(super) struct Budget {
    left: u64,
    /// Found when the call is made: what it returns may be polled outside of any runtime, or by another.
    elsewhere: Option<Handle>,
}

impl Budget {
    pub(super) fn new(inner: &Inner) -> Self {
        Self { left: inner.settings.offload_above as u64, elsewhere: None }
    }

    /// Whether so many bytes are too much for this thread. Where there is no other, nothing is.
    pub(super) fn is_exceeded(&mut self, bytes: u64) -> bool {
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return false;
        }
        self.elsewhere = Handle::try_current().ok();
        if self.elsewhere.is_none() {
            self.left = u64::MAX;
        }
        self.elsewhere.is_some()
    }

    /// The runtime whose threads take over, once the budget [is exceeded](Self::is_exceeded).
    pub(super) fn elsewhere(self) -> Option<Handle> {
        self.elsewhere
    }
}

/// Does the work on a thread where it keeps nobody waiting.
pub(super) fn offload<T: Send + 'static>(
    inner: &Arc<Inner>,
    runtime: Handle,
    work: impl FnOnce(&Inner) -> T + Send + 'static,
) -> Step<T> {
    bump(&inner.counters.offloaded);
    let inner = Arc::clone(inner);
    Step::Wait(Box::pin(async move {
        let permit = Arc::clone(&inner.permits).acquire_owned().await.map_err(|_| ended())?;
        let done = runtime.spawn_blocking(move || {
            let _permit = permit;
            work(&inner)
        });
        done.await.map_err(|error| match error.try_into_panic() {
            Ok(payload) => panic::resume_unwind(payload),
            Err(_) => ended(),
        })
    }))
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the runtime has ended")
}
