//! Work that takes too long for an async thread.

use std::{panic, sync::Arc};

use memstache_core::{Error, ErrorKind, Step};
use tokio::{runtime::Handle, task};

use super::{Inner, stats::bump};

/// How many bytes a call may still work on where it is.
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn new(inner: &Inner) -> Self {
        Self(inner.settings.offload_above as u64)
    }

    /// Whether so many bytes are too much for this thread. Where there is no other, nothing is.
    pub(super) fn is_exceeded(&mut self, bytes: u64) -> bool {
        match self.0.checked_sub(bytes) {
            Some(left) => self.0 = left,
            None if Handle::try_current().is_err() => self.0 = u64::MAX,
            None => return true,
        }
        false
    }
}

/// Does the work on a thread where it keeps nobody waiting.
pub(super) fn offload<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> T + Send + 'static,
) -> Step<T> {
    bump(&inner.counters.offloaded);
    let inner = Arc::clone(inner);
    Step::Wait(Box::pin(async move {
        let permit = Arc::clone(&inner.permits).acquire_owned().await.map_err(|_| ended())?;
        let done = task::spawn_blocking(move || {
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
