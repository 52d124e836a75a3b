//! Calls to the key provider, kept few.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{Either, select};
use memstache_core::{Clock, Error, ErrorKind, Result, Tick};
use parking_lot::Mutex;

use crate::provider::{KeyProvider, ProviderError, ProviderErrorKind};

/// How long a call may take: the in-flight limit of the AWS Encryption SDK's storm-tracking cache.
const IN_FLIGHT: Duration = Duration::from_secs(20);
/// The first pause after a failure, and the shortest: that cache's grace interval.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that failures grow to; what a vault asks for may be longer, up to `LONGEST_ASKED`.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What refuses for reasons that only people change is not asked again sooner.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// The provider, behind a pause after each failure.
#[derive(Debug)]
pub(super) struct Vault {
    pub(super) provider: Arc<dyn KeyProvider>,
    clock: Arc<dyn Clock>,
    pause: Mutex<Pause>,
    calls: AtomicU64,
    failures: AtomicU64,
}

#[derive(Debug, Default)]
struct Pause {
    until: Tick,
    failed: u32,
}

impl Vault {
    pub(super) fn new(provider: Arc<dyn KeyProvider>, clock: Arc<dyn Clock>) -> Self {
        Self { provider, clock, pause: Mutex::default(), calls: AtomicU64::new(0), failures: AtomicU64::new(0) }
    }

    /// Makes a call, unless there is a pause.
    ///
    /// Errors: [`Unavailable`](ErrorKind::Unavailable) with when to come back during a pause, else those of the provider.
    pub(super) async fn call<T>(&self, call: impl Future<Output = Result<T, ProviderError>>) -> Result<T> {
        if let Some(left) = self.pause_left() {
            let error = Error::new(ErrorKind::Unavailable, "the key provider failed a moment ago");
            return Err(error.with_retry_after(left));
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let deadline = self.clock.sleep_until(self.clock.now().after(IN_FLIGHT));
        let outcome = match select(pin!(call), deadline).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(((), _)) => {
                Err(ProviderError::new(ProviderErrorKind::Unavailable, "no answer in 20 seconds"))
            }
        };
        match outcome {
            Ok(value) => {
                *self.pause.lock() = Pause::default();
                Ok(value)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    pub(super) fn pause_left(&self) -> Option<Duration> {
        let left = self.pause.lock().until.since(self.clock.now());
        (!left.is_zero()).then_some(left)
    }

    /// Ends the pause: somebody asked by hand.
    pub(super) fn end_pause(&self) {
        self.pause.lock().until = Tick::default();
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn failed(&self, error: ProviderError) -> Error {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut pause = self.pause.lock();
        let grown = FIRST_PAUSE.saturating_mul(1 << pause.failed.min(6)).min(LONGEST_PAUSE);
        let span = match error.kind() {
            ProviderErrorKind::Unavailable | ProviderErrorKind::Throttled => grown,
            // A call by hand that cannot work says nothing about the others.
            ProviderErrorKind::Unsupported => Duration::ZERO,
            _ => REFUSED_PAUSE,
        };
        let span = span.max(error.retry_after().unwrap_or_default().min(LONGEST_ASKED));
        pause.failed = pause.failed.saturating_add(1);
        pause.until = self.clock.now().after(span);
        tracing::warn!(kind = error.kind().as_str(), pause_ms = span.as_millis(), "a call to the key provider failed");
        let error = Error::from(error);
        if span.is_zero() { error } else { error.with_retry_after(span) }
    }
}

/// Whether the vault said that the master key was disabled on purpose.
pub(super) fn is_disabled(error: &Error) -> bool {
    error.find_source::<ProviderError>().is_some_and(|error| error.kind() == ProviderErrorKind::Disabled)
}
