//! Looking for new certificates.

use std::{sync::Arc, time::Duration};

use memstache_core::{Clock, Error, Result};
use tokio::task::AbortHandle;

use super::Tls;

/// Looks for new certificates until it is dropped.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Watching(AbortHandle);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Tls {
    /// Looks every `period` whether the files have changed, and [reloads](Self::reload) them if so.
    ///
    /// Files that cannot be used are a warning, and tried again when they change again: what is in use stays. Give the clock
    /// of the engine.
    ///
    /// Errors: `Invalid` for a period of zero.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn watch(&self, period: Duration, clock: Arc<dyn Clock>) -> Result<Watching> {
        if period.is_zero() {
            return Err(Error::invalid("watch period", "above zero", "zero"));
        }
        // Seen before it returns: what changes from then on is noticed.
        let (tls, mut seen) = (self.clone(), self.0.config.stamps());
        let task = tokio::spawn(async move {
            loop {
                clock.sleep_until(clock.now().after(period)).await;
                let now = tls.0.config.stamps();
                // A file that is away is being replaced.
                if now == seen || now.iter().zip(&seen).any(|(now, seen)| now.is_none() && seen.is_some()) {
                    continue;
                }
                seen = now;
                match tls.reload() {
                    Ok(()) => tracing::info!("the certificates of this node were read again"),
                    Err(error) => tracing::warn!(error = %error, "new certificates cannot be used; the old ones stay"),
                }
            }
        });
        Ok(Watching(task.abort_handle()))
    }
}
