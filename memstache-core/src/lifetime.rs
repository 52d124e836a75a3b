//! How long an entry is to live: what a writer may ask for.

use std::time::Duration;

use crate::error::{Error, Result};

/// Longest ttl, sliding window or grace: 3,650 days. Longer ones are taken for mistakes of units.
pub const MAX_TTL: Duration = Duration::from_secs(3650 * 24 * 3600);

/// How long an entry lives.
///
/// Default: no ttl (a remote store uses its `max_ttl`, a memory store keeps it until it is evicted), no idle window, no
/// grace.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::Lifetime;
///
/// let lifetime = Lifetime::new(Duration::from_secs(300))?
///     .with_sliding(Duration::from_secs(60))?
///     .with_stale_for(Duration::from_secs(30))?;
/// assert_eq!(lifetime.ttl(), Some(Duration::from_secs(300)));
/// assert!(Lifetime::new(Duration::ZERO).is_err());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lifetime {
    ttl: Option<Duration>,
    sliding: Option<Duration>,
    stale_for: Duration,
}

impl Lifetime {
    /// Lives until it is evicted or the store's own limit.
    pub const UNLIMITED: Self = Self { ttl: None, sliding: None, stale_for: Duration::ZERO };

    /// Lives for `ttl`, which is above zero and at most [`MAX_TTL`].
    pub fn new(ttl: Duration) -> Result<Self> {
        Self::UNLIMITED.with_ttl(ttl)
    }

    /// Replaces the hard deadline.
    pub fn with_ttl(mut self, ttl: Duration) -> Result<Self> {
        self.ttl = Some(positive("ttl", ttl)?);
        self.check()
    }

    /// Expires the entry when it was not read for `window`, which is at most the ttl.
    pub fn with_sliding(mut self, window: Duration) -> Result<Self> {
        self.sliding = Some(positive("sliding", window)?);
        self.check()
    }

    /// Serves the entry as stale for this long after it stopped being fresh; zero for never.
    pub fn with_stale_for(mut self, grace: Duration) -> Result<Self> {
        self.stale_for = bounded("stale_for", grace)?;
        Ok(self)
    }

    /// Shortens the ttl by a random part of it: `fraction` in 0..=1, `random` in 0..1.
    ///
    /// Never lengthened, so the ttl stays a promise; never below a millisecond nor the sliding window.
    #[must_use]
    pub fn jittered(mut self, fraction: f64, random: f64) -> Self {
        if let Some(ttl) = self.ttl.filter(|_| fraction > 0.0) {
            let least = self.sliding.unwrap_or(Duration::from_millis(1));
            self.ttl = Some(ttl.mul_f64((1.0 - fraction * random).clamp(0.0, 1.0)).max(least.min(ttl)));
        }
        self
    }

    /// Returns the hard deadline, from when the entry is written.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// Returns the idle window.
    pub fn sliding(&self) -> Option<Duration> {
        self.sliding
    }

    /// Returns the grace.
    pub fn stale_for(&self) -> Duration {
        self.stale_for
    }

    fn check(self) -> Result<Self> {
        match (self.ttl, self.sliding) {
            (Some(ttl), Some(window)) if ttl < window => {
                Err(Error::invalid("sliding", format_args!("at most the ttl ({ttl:?})"), format_args!("{window:?}")))
            }
            _ => Ok(self),
        }
    }
}

pub(crate) fn positive(field: &str, span: Duration) -> Result<Duration> {
    if span.is_zero() {
        return Err(Error::invalid(field, "above zero", "zero"));
    }
    bounded(field, span)
}

pub(crate) fn bounded(field: &str, span: Duration) -> Result<Duration> {
    if span > MAX_TTL {
        return Err(Error::invalid(
            field,
            format_args!("at most {} days", MAX_TTL.as_secs() / 86400),
            format_args!("{span:?}"),
        ));
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn lifetimes_refuse_mistakes() {
        let text = |result: Result<Lifetime>| result.unwrap_err().to_string();
        assert_eq!(text(Lifetime::new(Duration::ZERO)), "ttl must be above zero, but zero was given");
        assert_eq!(text(Lifetime::new(MAX_TTL + secs(1))), "ttl must be at most 3650 days, but 315360001s was given");
        assert_eq!(
            text(Lifetime::new(secs(5)).unwrap().with_sliding(secs(6))),
            "sliding must be at most the ttl (5s), but 6s was given"
        );
        assert_eq!(
            text(Lifetime::UNLIMITED.with_sliding(secs(6)).unwrap().with_ttl(secs(5))),
            "sliding must be at most the ttl (5s), but 6s was given"
        );
        assert!(Lifetime::UNLIMITED.with_stale_for(Duration::MAX).is_err());
    }

    proptest! {
        #[test]
        fn jitter_only_shortens(ttl in 1u64..1_000_000, fraction in 0.0..=1.0f64, random in 0.0..1.0f64) {
            let plain = Lifetime::new(Duration::from_millis(ttl)).unwrap();
            let jittered = plain.jittered(fraction, random).ttl().unwrap();
            prop_assert!(jittered <= Duration::from_millis(ttl) && !jittered.is_zero());
        }
    }
}
