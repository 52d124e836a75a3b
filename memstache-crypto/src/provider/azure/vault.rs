//! One call to the vault: retried a little, and never for long.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use memstache_core::Clock;

use super::failure::failure;
use crate::provider::{ProviderError, ProviderErrorKind, invalid};

/// How long to wait before the first repetition; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(200);

/// Checks a version before it becomes part of a path: Azure's are letters and digits.
pub(super) fn checked(version: &str) -> Result<&str, ProviderError> {
    if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(invalid("version in the vault", "letters and digits", "something else"));
    }
    Ok(version)
}

/// The time that calls may take, and how often they are repeated.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) timeout: Duration,
    pub(super) retries: u32,
    pub(super) clock: Arc<dyn Clock>,
}

impl Calls {
    /// Makes a call that may be repeated. Only a vault that cannot be reached, or failed by itself, is asked again.
    pub(super) async fn run<T, F>(&self, call: impl Fn() -> F) -> Result<T, ProviderError>
    where
        F: Future<Output = azure_core::Result<T>>,
    {
        self.within(async {
            let mut pause = PAUSE;
            for _ in 0..self.retries {
                match call().await.map_err(failure) {
                    Err(error) if error.kind() == ProviderErrorKind::Unavailable => {}
                    done => return done,
                }
                self.clock.sleep_until(self.clock.now().after(pause)).await;
                pause *= 2;
            }
            call().await.map_err(failure)
        })
        .await
    }

    /// Makes a call that changes the vault, once.
    pub(super) async fn once<T>(&self, call: impl Future<Output = azure_core::Result<T>>) -> Result<T, ProviderError> {
        self.within(async { call.await.map_err(failure) }).await
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, ProviderError>>) -> Result<T, ProviderError> {
        let until = self.clock.sleep_until(self.clock.now().after(self.timeout));
        match select(Box::pin(work), until).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => {
                Err(ProviderError::new(ProviderErrorKind::Unavailable, "the vault did not answer in time"))
            }
        }
    }
}
