//! How often a source may be asked.

use std::time::Duration;

use memstache_core::{Error, Result, resilience::RateConfig};

/// How many keys a second a source is asked for, by all nodes together, and how long a load waits for its turn.
///
/// The budget is divided by the live members of the cluster. A load that may not wait, or has waited for so long, fails with
/// [`DataSourceError::RateLimited`](crate::DataSourceError::RateLimited); that is no failure of the source.
///
/// ```
/// use std::time::Duration;
/// use memstache_cluster::RateLimit;
///
/// let limit = RateLimit::per_second(500).with_burst(100).with_wait(Duration::from_millis(50));
/// limit.check()?;
/// assert!(RateLimit::per_second(0).check().is_err());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    per_second: u32,
    burst: u32,
    wait: Duration,
}

impl RateLimit {
    /// Lets so many keys through a second, and as many at once; nobody waits.
    pub const fn per_second(keys: u32) -> Self {
        Self { per_second: keys, burst: keys, wait: Duration::ZERO }
    }

    /// Lets so many through at once: at least as many as in a millisecond, at most as many as in an hour.
    #[must_use]
    pub const fn with_burst(mut self, keys: u32) -> Self {
        self.burst = keys;
        self
    }

    /// Lets a load wait so long for its turn: at most a minute. Default: not at all.
    #[must_use]
    pub const fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Checks the settings.
    pub fn check(&self) -> Result<()> {
        self.share(1).check()?;
        let most = Duration::from_secs(60);
        if self.wait > most {
            let given = format_args!("{:?}", self.wait);
            return Err(Error::invalid("rate limit wait", format_args!("at most {most:?}"), given));
        }
        Ok(())
    }

    /// Returns how many keys a second, and how many at once.
    pub(crate) const fn rate(&self) -> (u32, u32) {
        (self.per_second, self.burst)
    }

    pub(crate) const fn wait(&self) -> Duration {
        self.wait
    }

    /// Returns the part of one of so many members.
    pub(crate) fn share(&self, members: u32) -> RateConfig {
        RateConfig::per_second(self.share_rate(members)).with_burst(self.share_burst(members))
    }

    /// Returns what passes a second of the part of one of so many members.
    pub(crate) const fn share_rate(&self, members: u32) -> u32 {
        if members <= 1 {
            self.per_second
        } else if self.per_second > members {
            self.per_second / members
        } else {
            1
        }
    }

    /// Returns the burst of one of so many members.
    pub(crate) fn share_burst(&self, members: u32) -> u32 {
        let least = self.share_rate(members).div_ceil(1000);
        if members <= 1 { self.burst } else { (self.burst / members).max(least) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_of_a_good_limit_is_good() {
        for (rate, burst) in [(1, 1), (10, 3600), (1_000_000, 1000), (999_999, 1_000_000)] {
            let limit = RateLimit::per_second(rate).with_burst(burst);
            limit.check().unwrap();
            for members in [0, 1, 2, 3, 7, 1000, u32::MAX] {
                limit.share(members).check().unwrap_or_else(|error| panic!("{limit:?} by {members}: {error}"));
            }
        }
        assert_eq!(RateLimit::per_second(90).with_burst(30).share(3), RateConfig::per_second(30).with_burst(10));
        let error = RateLimit::per_second(1).with_wait(Duration::from_secs(61)).check().unwrap_err();
        assert_eq!(error.to_string(), "rate limit wait must be at most 60s, but 61s was given");
    }
}
