//! The settings of a breaker.

use std::time::Duration;

use super::{HOUR, MILLISECOND, u32_of};
use crate::{config::Section, resilience::BreakerConfig};

/// Most probes, and most days that a span has, for a breaker.
const MOST_PROBES: usize = 1000;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A breaker's settings, those that are not in use included.
#[derive(Clone, Copy)]
pub(super) struct BreakerSettings {
    pub(super) enabled: bool,
    consecutive: Option<usize>,
    rate: Option<f64>,
    least_calls: usize,
    window: Duration,
    open_for: Duration,
    probes: usize,
}

impl BreakerSettings {
    /// Those of a breaker with a failure rate.
    pub(super) fn of(config: &BreakerConfig, enabled: bool) -> Self {
        let rate = config.rate.expect("the breakers of this crate open by rate");
        Self {
            enabled,
            consecutive: config.consecutive.map(|count| count as usize),
            rate: Some(rate.ratio),
            least_calls: usize::try_from(rate.least_calls).unwrap_or(usize::MAX),
            window: rate.window,
            open_for: config.open_for,
            probes: config.probes as usize,
        }
    }

    /// Reads a section whose defaults are these settings.
    pub(super) fn read(&self, section: &mut Section<'_>) -> Self {
        let counts = 1..=u32::MAX as usize;
        Self {
            enabled: section.flag("enabled", self.enabled),
            consecutive: section.whole("consecutive_failures", self.consecutive, &counts, true),
            rate: section.real("failure_rate", self.rate, &(0.001..=1.0), true),
            least_calls: section.count("least_calls", self.least_calls, counts),
            window: section.span("window", self.window, MILLISECOND..=HOUR),
            open_for: section.span("open_for", self.open_for, MILLISECOND..=DAY),
            probes: section.count("probes", self.probes, 1..=MOST_PROBES),
        }
    }

    /// Makes what a breaker goes by, probed by requests.
    pub(super) fn config(&self) -> BreakerConfig {
        let config = BreakerConfig::source().with_open_for(self.open_for).with_probes(u32_of(self.probes));
        let config = match self.consecutive {
            Some(count) => config.with_consecutive_failures(u32_of(count)),
            None => config.without_consecutive_failures(),
        };
        match self.rate {
            Some(ratio) => config.with_failure_rate(ratio, self.least_calls as u64, self.window),
            None => config.without_failure_rate(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::Probing;

    #[test]
    fn what_is_not_changed_is_as_in_code() {
        let (source, leaf) = (BreakerConfig::source(), BreakerConfig::leaf());
        assert_eq!(BreakerSettings::of(&source, true).config(), source);
        assert_eq!(BreakerSettings::of(&leaf, true).config().with_probing(Probing::Apart), leaf);
    }
}
