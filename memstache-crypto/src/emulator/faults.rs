//! Faults on purpose.

use std::time::Duration;

use memstache_core::{Error, Result};

/// What goes wrong on purpose, for tests of outages. Default: nothing.
///
/// They are tried in this order: latency, throttling, failure, refusal. Latency holds back every answer.
///
/// ```
/// use std::time::Duration;
/// use memstache_crypto::emulator::Faults;
///
/// let slow_and_shaky = Faults::default().with_latency(Duration::from_millis(300))?.with_fail_rate(0.1)?;
/// assert!(Faults::default().with_fail_rate(1.5).is_err());
/// # assert_ne!(slow_and_shaky, Faults::default());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Faults {
    pub(super) latency: Duration,
    pub(super) fail_rate: f64,
    pub(super) throttle: Option<u32>,
    pub(super) forbidden: bool,
    pub(super) clock_skew: i64,
}

impl Faults {
    /// Longest latency.
    pub const MAX_LATENCY: Duration = Duration::from_secs(600);
    /// Largest clock skew in either direction, in seconds: ten years.
    pub const MAX_CLOCK_SKEW: i64 = 10 * 365 * 24 * 3600;

    /// Holds back every answer this long, at most ten minutes.
    ///
    /// Error: [`Invalid`](memstache_core::ErrorKind::Invalid) for more.
    pub fn with_latency(mut self, latency: Duration) -> Result<Self> {
        if latency > Self::MAX_LATENCY {
            return Err(Error::invalid("latency", "at most 600 s", format_args!("{} s", latency.as_secs())));
        }
        self.latency = latency;
        Ok(self)
    }

    /// Answers this share of the calls with 500: 0 is none, 1 is all.
    ///
    /// Error: [`Invalid`](memstache_core::ErrorKind::Invalid) for anything else.
    pub fn with_fail_rate(mut self, rate: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(Error::invalid("fail rate", "0 to 1", rate));
        }
        self.fail_rate = rate;
        Ok(self)
    }

    /// Answers calls beyond this number in a second with 429 and `Retry-After`; 0 throttles all.
    #[must_use]
    pub fn with_throttle(mut self, calls_per_second: u32) -> Self {
        self.throttle = Some(calls_per_second);
        self
    }

    /// Answers every call that has a token with 403, as for a caller without permissions.
    #[must_use]
    pub fn with_forbidden(mut self) -> Self {
        self.forbidden = true;
        self
    }

    /// Sets how many seconds the vault's clock is ahead; negative if it is behind.
    ///
    /// Error: [`Invalid`](memstache_core::ErrorKind::Invalid) for more than ten years.
    pub fn with_clock_skew(mut self, seconds: i64) -> Result<Self> {
        if !(-Self::MAX_CLOCK_SKEW..=Self::MAX_CLOCK_SKEW).contains(&seconds) {
            let limit = format_args!("at most {} s in either direction", Self::MAX_CLOCK_SKEW);
            return Err(Error::invalid("clock skew", limit, format_args!("{seconds} s")));
        }
        self.clock_skew = seconds;
        Ok(self)
    }
}
