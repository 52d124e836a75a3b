use std::time::Duration;

use crate::{
    error::{Error, Result, all_of},
    lifetime::positive,
};

/// Most repetitions of one call.
const MOST_RETRIES: u32 = 10;
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// How often a call is repeated, after which pauses, and from what budget.
///
/// Default: 3 times, after a random pause of up to 25 ms, 50 ms and 100 ms (at most 1 s); over ten seconds no more
/// than one call in five, and ten a second.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::resilience::RetryConfig;
///
/// let millis = Duration::from_millis;
/// let config = RetryConfig::default().with_retries(2).with_pauses(millis(10), millis(500));
/// config.check()?;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryConfig {
    pub(crate) retries: u32,
    pub(crate) first: Duration,
    pub(crate) max: Duration,
    pub(crate) budget: f64,
    pub(crate) reserve: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { retries: 3, first: Duration::from_millis(25), max: Duration::from_secs(1), budget: 0.2, reserve: 10 }
    }
}

impl RetryConfig {
    /// Repeats a call so often: from 1 to 10.
    #[must_use]
    pub const fn with_retries(mut self, count: u32) -> Self {
        self.retries = count;
        self
    }

    /// Pauses up to `first` before the first repetition, and up to twice as long before each further one, at most
    /// `max`, which is at most a minute.
    #[must_use]
    pub const fn with_pauses(mut self, first: Duration, max: Duration) -> Self {
        self.first = first;
        self.max = max;
        self
    }

    /// Repeats over ten seconds no more than this fraction (0 to 10) of the calls that went well, and `reserve` a
    /// second.
    #[must_use]
    pub const fn with_budget(mut self, fraction: f64, reserve: u32) -> Self {
        self.budget = fraction;
        self.reserve = reserve;
        self
    }

    /// Checks the settings; one error names everything that is wrong.
    pub fn check(&self) -> Result<()> {
        all_of(&self.wrong())
    }

    pub(crate) fn wrong(&self) -> Vec<Error> {
        let mut wrong = Vec::new();
        if !(1..=MOST_RETRIES).contains(&self.retries) {
            wrong.push(Error::invalid("retry retries", format_args!("from 1 to {MOST_RETRIES}"), self.retries));
        }
        wrong.extend(positive("retry first pause", self.first).err());
        if self.max < self.first || self.max > LONGEST {
            let limit = format_args!("from the first ({:?}) to {LONGEST:?}", self.first);
            wrong.push(Error::invalid("retry longest pause", limit, format_args!("{:?}", self.max)));
        }
        if !(0.0..=10.0).contains(&self.budget) {
            wrong.push(Error::invalid("retry budget", "from 0 to 10", self.budget));
        }
        if self.reserve > 1_000_000 {
            wrong.push(Error::invalid("retry budget reserve", "at most 1000000", self.reserve));
        }
        wrong
    }

    /// Returns the longest pause before the repetition that comes after so many.
    pub(super) fn ceiling(&self, made: u32) -> Duration {
        self.first.saturating_mul(1u32.checked_shl(made).unwrap_or(u32::MAX)).min(self.max)
    }

    /// Returns the pause before the repetition that comes after so many; `random` in 0..1 spreads it. `None`: not
    /// repeated.
    ///
    /// An error that says when to try again is obeyed, if that is within the longest pause.
    pub(super) fn pause(&self, made: u32, error: &Error, random: f64) -> Option<Duration> {
        if made >= self.retries || !error.is_retryable() {
            return None;
        }
        let ceiling = self.ceiling(made);
        let least = error.retry_after().unwrap_or_default();
        (least <= ceiling).then(|| ceiling.mul_f64(random.clamp(0.0, 1.0)).max(least))
    }
}
