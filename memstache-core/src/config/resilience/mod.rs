//! `[resilience]`, and the breakers of data sources.

mod breaker;
mod source;

use std::time::Duration;

use figment::value::Value;
use tower_layer::Layer as _;

use self::breaker::BreakerSettings;
pub(super) use self::source::Source;
use super::{Section, registry::Place, section::Reader, units::Span};
use crate::{
    error::Error,
    health::Parts,
    resilience::{BreakerConfig, Probing, RateConfig, Resilience, ResilienceConfig, RetryConfig, TimeoutConfig},
    service::ErasedService,
    stack::Limits,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Least bytes of a bulkhead; most retries, items a second, and reserve a second: as their settings check them.
const LEAST_BYTES: usize = 64 << 10;
const MOST_RETRIES: usize = 10;
const MOST_A_SECOND: usize = 1_000_000;

/// The layers of `[resilience]`.
#[derive(Clone)]
pub(super) struct Guards {
    resilience: Resilience,
    config: ResilienceConfig,
}

impl Guards {
    /// Reads and checks everything, also what is not enabled.
    pub(super) fn read(reader: &Reader<'_>, value: Option<Value>) -> Option<Self> {
        let mut section = Section::new(reader, "resilience".to_owned(), value);
        let defaults = ResilienceConfig::default();
        let enabled = section.flag("enabled", false);
        let calls = 1..=u32::MAX as usize;
        let bytes = LEAST_BYTES..=isize::MAX.unsigned_abs();
        let config = ResilienceConfig {
            max_calls: section.whole("max_calls", defaults.max_calls, &calls, true),
            max_bytes: section.size("max_bytes", defaults.max_bytes, &bytes, true),
            rate: rate(section.part("rate")),
            retry: retry(section.part("retry")),
            breaker: breaker(section.part("breaker")),
            timeout: timeout(section.part("timeout")),
        };
        let clock = section.clock();
        // What is wrong in a part was told there.
        let resilience = config.check().ok().map(|()| Resilience::with_clock(config, clock));
        let resilience = resilience.and_then(|made| made.map_err(|error| section.failed(&error)).ok());
        section.finish();
        if !enabled {
            reader.without_effect("resilience", &["enabled"], "resilience.enabled is false");
        }
        resilience.filter(|_| enabled).map(|resilience| Self { resilience, config })
    }

    pub(super) const fn resilience(&self) -> &Resilience {
        &self.resilience
    }

    /// Says what would have to be, for a place to be free.
    pub(super) fn has(&self, place: Place) -> Option<&'static str> {
        let config = &self.config;
        let limits = config.max_calls.is_some() || config.max_bytes.is_some() || config.rate.is_some();
        let (has, free) = match place {
            Place::Limit => (limits, "resilience.max_calls, max_bytes and rate.per_second none"),
            Place::Retry => (config.retry.is_some(), "resilience.retry.enabled false"),
            Place::Timeout => (config.timeout.is_some(), "resilience.timeout.enabled false"),
            Place::Observe | Place::Quota | Place::Compression | Place::Seal => return None,
        };
        has.then_some(free)
    }

    /// Puts on what belongs above a place, or into it, in the order of [`Stack::resilient`](crate::Stack::resilient).
    pub(super) fn wrap(&self, place: Place, service: ErasedService) -> ErasedService {
        let Resilience { limit, bulkhead, rate, retry, breaker, timeout } = &self.resilience;
        match place {
            Place::Timeout => ErasedService::new(retry.layer(breaker.layer(timeout.layer(service)))),
            Place::Limit => {
                let limits = tower_layer::Stack::new(bulkhead.clone(), rate.clone());
                ErasedService::new(Limits::new(limits, limit.clone()).layer(service))
            }
            _ => service,
        }
    }

    /// Has the breaker and the limits be asked how they are.
    pub(super) fn watch(&self, parts: &mut Parts) {
        if let Some(breaker) = self.resilience.breaker() {
            parts.push(breaker.clone());
        }
        parts.push(self.resilience.clone());
    }
}

/// Ends a part: tells what its settings say about each other.
fn agreed(section: Section<'_>, wrong: impl IntoIterator<Item = Error>) {
    wrong.into_iter().for_each(|error| section.failed(&error));
    section.finish();
}

fn u32_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn rate(mut section: Section<'_>) -> Option<RateConfig> {
    let per_second = section.optional_count("per_second", 1..=MOST_A_SECOND);
    let burst = section.optional_count("burst", 1..=MOST_A_SECOND);
    let config = per_second.map(|items| RateConfig::per_second(u32_of(items)));
    let config = config.map(|config| burst.map_or(config, |burst| config.with_burst(u32_of(burst))));
    if per_second.is_none() {
        section.warn("burst", "has no effect: there is no limit of rate without per_second");
    }
    agreed(section, config.and_then(|config| config.check().err()));
    config
}

fn retry(mut section: Section<'_>) -> Option<RetryConfig> {
    let defaults = RetryConfig::default();
    let enabled = section.flag("enabled", true);
    let pauses = || MILLISECOND..=Duration::from_secs(60);
    let retries = section.count("retries", defaults.retries as usize, 1..=MOST_RETRIES);
    let first = section.span("first_pause", defaults.first, pauses());
    let max = section.span("max_pause", defaults.max, pauses());
    let budget = section.number("budget", defaults.budget, 0.0..=10.0);
    let reserve = section.count("reserve", defaults.reserve as usize, 0..=MOST_A_SECOND);
    let config = defaults.with_retries(u32_of(retries)).with_pauses(first, max).with_budget(budget, u32_of(reserve));
    if max < first {
        let (first, max) = (Span(first), Span(max));
        section.refuse("max_pause", format_args!("must be at least first_pause ({first}), but {max} was given"));
        section.finish();
    } else {
        section.switched(enabled);
        agreed(section, config.wrong());
    }
    enabled.then_some(config)
}

fn breaker(mut section: Section<'_>) -> Option<BreakerConfig> {
    let defaults = BreakerSettings::of(&BreakerConfig::leaf(), true);
    let settings = defaults.read(&mut section);
    let probing = match section.choice("probing", "apart", &["apart", "requests"]).as_str() {
        "requests" => Probing::Requests,
        _ => Probing::Apart,
    };
    let config = settings.config().with_probing(probing);
    section.switched(settings.enabled);
    agreed(section, config.wrong());
    settings.enabled.then_some(config)
}

fn timeout(mut section: Section<'_>) -> Option<TimeoutConfig> {
    let defaults = TimeoutConfig::default();
    let enabled = section.flag("enabled", true);
    let read = section.span("read", defaults.read, MILLISECOND..=HOUR);
    let write = section.span("write", defaults.write, MILLISECOND..=HOUR);
    let config = TimeoutConfig::new(read, write);
    section.switched(enabled);
    agreed(section, config.wrong());
    enabled.then_some(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CacheConfig, EXAMPLE, Registry};

    fn read(toml: &str) -> ResilienceConfig {
        let built = CacheConfig::new().toml(toml).set("resilience.enabled", true).build(&Registry::new()).unwrap();
        built.guards.unwrap().config
    }

    #[test]
    fn every_value_arrives() {
        let toml = r#"
            [resilience]
            max_calls = 7
            max_bytes = "1 MiB"
            rate = { per_second = 50, burst = 20 }
            retry = { retries = 2, first_pause = "10ms", max_pause = "50ms", budget = 0.5, reserve = 3 }
            timeout = { read = "70ms", write = "90ms" }
            [resilience.breaker]
            consecutive_failures = 9
            failure_rate = 0.25
            least_calls = 80
            window = "20s"
            open_for = "3s"
            probes = 4
            probing = "requests"
        "#;
        let millis = Duration::from_millis;
        let breaker = BreakerConfig::leaf().with_consecutive_failures(9).with_failure_rate(0.25, 80, millis(20_000));
        let retry = RetryConfig::default().with_retries(2).with_pauses(millis(10), millis(50)).with_budget(0.5, 3);
        let expected = ResilienceConfig {
            max_calls: Some(7),
            max_bytes: Some(1 << 20),
            rate: Some(RateConfig::per_second(50).with_burst(20)),
            retry: Some(retry),
            breaker: Some(breaker.with_open_for(millis(3000)).with_probes(4).with_probing(Probing::Requests)),
            timeout: Some(TimeoutConfig::new(millis(70), millis(90))),
        };
        assert_eq!(read(toml), expected);
        assert_eq!((read(""), read(EXAMPLE)), (ResilienceConfig::default(), ResilienceConfig::default()));
        let none = "[resilience]\nmax_calls = 'none'\nmax_bytes = 'none'\nretry.enabled = false\n\
                    breaker.enabled = false\ntimeout.enabled = false";
        assert_eq!(read(none), ResilienceConfig::none());
    }
}
