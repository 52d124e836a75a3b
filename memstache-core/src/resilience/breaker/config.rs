use std::time::Duration;

use crate::{
    error::{Error, Result, all_of},
    lifetime::positive,
};

/// Most probes that a half-open breaker may ask for.
const MAX_PROBES: u32 = 1000;

/// When a breaker opens, for how long, and how it is closed again.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::resilience::BreakerConfig;
///
/// let config = BreakerConfig::source()
///     .with_consecutive_failures(3)
///     .with_failure_rate(0.25, 100, Duration::from_secs(60))
///     .with_open_for(Duration::from_secs(10))
///     .with_probes(2);
/// config.check()?;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BreakerConfig {
    pub(crate) consecutive: Option<u32>,
    pub(crate) rate: Option<FailureRate>,
    pub(crate) open_for: Duration,
    pub(crate) probes: u32,
    pub(crate) probing: Probing,
}

/// A part of the calls of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FailureRate {
    pub(crate) ratio: f64,
    pub(crate) least_calls: u64,
    pub(crate) window: Duration,
}

/// Who tries whether what failed is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Probing {
    /// The next callers do, once the breaker was open for its time.
    Requests,
    /// Nobody's request does: a prober of its own asks for [`Breaker::try_probe`](super::Breaker::try_probe), each time
    /// that the breaker was open for its time. [`BreakerLayer`](super::BreakerLayer) has one; without one, the breaker of a
    /// [source](crate::CacheBuilder::source_breaker) for example, it would never close again.
    Apart,
}

impl Default for BreakerConfig {
    /// That of a data source.
    fn default() -> Self {
        Self::source()
    }
}

impl BreakerConfig {
    /// For a data source: opens after 5 consecutive failures, or when half of at least 50 calls in 10 s failed; for 30
    /// s; one request is the probe.
    pub const fn source() -> Self {
        let rate = FailureRate { ratio: 0.5, least_calls: 50, window: Duration::from_secs(10) };
        let open_for = Duration::from_secs(30);
        Self { consecutive: Some(5), rate: Some(rate), open_for, probes: 1, probing: Probing::Requests }
    }

    /// For a server or shard under a stack: opens like that of a [`source`](Self::source), and is probed every 250 ms
    /// off the path of requests, by the prober of a [`BreakerLayer`](super::BreakerLayer). Not for a data source: see
    /// [`Probing::Apart`].
    pub const fn leaf() -> Self {
        Self { open_for: Duration::from_millis(250), probing: Probing::Apart, ..Self::source() }
    }

    /// Opens after so many failures in a row: at least 1.
    #[must_use]
    pub const fn with_consecutive_failures(mut self, count: u32) -> Self {
        self.consecutive = Some(count);
        self
    }

    /// Opens only by the failure rate.
    #[must_use]
    pub const fn without_consecutive_failures(mut self) -> Self {
        self.consecutive = None;
        self
    }

    /// Opens when at least `ratio` (above 0, at most 1) of at least `least_calls` calls in the last `window` failed.
    ///
    /// The window forgets a tenth at a time; it is at most 3,650 days long.
    #[must_use]
    pub const fn with_failure_rate(mut self, ratio: f64, least_calls: u64, window: Duration) -> Self {
        self.rate = Some(FailureRate { ratio, least_calls, window });
        self
    }

    /// Opens only by consecutive failures.
    #[must_use]
    pub const fn without_failure_rate(mut self) -> Self {
        self.rate = None;
        self
    }

    /// Stays open for so long before each probe: above zero, at most 3,650 days.
    #[must_use]
    pub const fn with_open_for(mut self, span: Duration) -> Self {
        self.open_for = span;
        self
    }

    /// Closes after so many probes succeeded, and has no more than these under way: from 1 to 1,000.
    #[must_use]
    pub const fn with_probes(mut self, count: u32) -> Self {
        self.probes = count;
        self
    }

    /// Chooses who probes.
    #[must_use]
    pub const fn with_probing(mut self, probing: Probing) -> Self {
        self.probing = probing;
        self
    }

    /// Returns after how many failures in a row it opens.
    pub const fn consecutive_failures(&self) -> Option<u32> {
        self.consecutive
    }

    /// Returns by which ratio of failures, of how many calls at least, within which window it opens.
    pub fn failure_rate(&self) -> Option<(f64, u64, Duration)> {
        self.rate.map(|FailureRate { ratio, least_calls, window }| (ratio, least_calls, window))
    }

    /// Returns for how long it stays open before each probe.
    pub const fn open_for(&self) -> Duration {
        self.open_for
    }

    /// Returns after how many good probes it closes.
    pub const fn probes(&self) -> u32 {
        self.probes
    }

    /// Returns who probes.
    pub const fn probing(&self) -> Probing {
        self.probing
    }

    /// Checks the settings; one error names everything that is wrong.
    pub fn check(&self) -> Result<()> {
        all_of(&self.wrong())
    }

    /// Everything that is wrong.
    pub(crate) fn wrong(&self) -> Vec<Error> {
        let mut wrong = Vec::new();
        let mut note = |result: Result<()>| wrong.extend(result.err());
        note(match (self.consecutive, self.rate) {
            (Some(0), _) => Err(Error::invalid("breaker consecutive_failures", "at least 1", 0)),
            (None, None) => {
                Err(Error::invalid("breaker", "opened by consecutive failures or a failure rate", "neither"))
            }
            _ => Ok(()),
        });
        if let Some(FailureRate { ratio, least_calls, window }) = self.rate {
            note(if ratio > 0.0 && ratio <= 1.0 {
                Ok(())
            } else {
                Err(Error::invalid("breaker failure_rate", "above 0 and at most 1", ratio))
            });
            note(if least_calls > 0 {
                Ok(())
            } else {
                Err(Error::invalid("breaker failure_rate least_calls", "at least 1", 0))
            });
            note(positive("breaker failure_rate window", window).map(drop));
        }
        note(positive("breaker open_for", self.open_for).map(drop));
        note(if (1..=MAX_PROBES).contains(&self.probes) {
            Ok(())
        } else {
            Err(Error::invalid("breaker probes", format_args!("from 1 to {MAX_PROBES}"), self.probes))
        });
        wrong
    }
}
