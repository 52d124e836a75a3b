//! How a stack fares whose store or source fails, asked when somebody wants to know.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::sample::{Sample, Value};
use crate::{
    observe::{
        Instrument,
        instruments::{
            BREAKER_OPENED, BREAKER_REFUSED, BREAKER_STATE, BREAKER_STATES, BREAKERS, LIMITS, RETRIES, SHED, TIMEOUTS,
        },
    },
    resilience::{BreakerSnapshot, ResilienceSnapshot},
};

/// What keeps a cache from hanging, and what it has done. Of what is not there, there are no series, or zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResilienceUse {
    /// The breaker in front of the stack's leaf.
    pub store: Option<BreakerSnapshot>,
    /// The breaker in front of what is loaded from.
    pub source: Option<BreakerSnapshot>,
    /// Calls that were refused because too many were under way.
    pub shed_calls: u64,
    /// Calls that were refused because too many bytes were under way.
    pub shed_bytes: u64,
    /// Calls that were refused because they came too soon.
    pub shed_rate: u64,
    /// Attempts that repeated one that had failed.
    pub retries: u64,
    /// Attempts that were cut off.
    pub timeouts: u64,
}

impl From<ResilienceSnapshot> for ResilienceUse {
    fn from(snapshot: ResilienceSnapshot) -> Self {
        Self {
            store: snapshot.breaker,
            source: None,
            shed_calls: snapshot.calls.refused,
            shed_bytes: snapshot.bytes.refused,
            shed_rate: snapshot.rate.refused,
            retries: snapshot.retry.retries,
            timeouts: snapshot.timeouts,
        }
    }
}

/// A question.
#[derive(Clone)]
pub(super) struct Fares(pub(super) Arc<dyn Fn() -> ResilienceUse + Send + Sync>);

impl Fares {
    /// Adds what is answered; nothing if it panics.
    pub(super) fn samples(&self, cache: &Arc<str>, out: &mut Vec<Sample>) {
        match catch_unwind(AssertUnwindSafe(|| (self.0)())) {
            Ok(fares) => fares.samples(cache, out),
            Err(_) => tracing::error!("what was asked for the resilience of a stack panicked"),
        }
    }
}

impl ResilienceUse {
    fn samples(&self, cache: &Arc<str>, out: &mut Vec<Sample>) {
        let mut add = |instrument: &'static Instrument, words: &[&'static str], number: u64| {
            let name = Some(Arc::clone(cache));
            out.push(Sample { instrument, name, words: words.to_vec(), value: Value::Number(number) });
        };
        for (name, breaker) in BREAKERS.iter().zip([self.store, self.source]) {
            let Some(breaker) = breaker else { continue };
            for state in BREAKER_STATES {
                add(BREAKER_STATE, &[name, state], u64::from(breaker.state.as_str() == *state));
            }
            add(BREAKER_OPENED, &[name], breaker.opened);
            add(BREAKER_REFUSED, &[name], breaker.refused);
        }
        for (limit, shed) in LIMITS.iter().zip([self.shed_calls, self.shed_bytes, self.shed_rate]) {
            add(SHED, &[limit], shed);
        }
        add(RETRIES, &[], self.retries);
        add(TIMEOUTS, &[], self.timeouts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observe::Registry,
        resilience::{BreakerConfig, BreakerState, CircuitBreaker},
    };

    /// The lines of breakers, limits, retries and timeouts.
    fn told(registry: &Registry) -> Vec<String> {
        let text = registry.prometheus_text();
        text.lines().filter(|line| !line.starts_with('#')).map(|line| line.replace("memstache_", "")).collect()
    }

    #[test]
    fn each_number_has_its_series_and_each_breaker_is_in_one_state() {
        let snapshot = CircuitBreaker::new(BreakerConfig::source()).unwrap().snapshot();
        for (state, name) in
            [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen].into_iter().zip(BREAKER_STATES)
        {
            assert_eq!(state.as_str(), *name, "the table knows them in their order");
            let registry = Registry::new();
            let source = Some(BreakerSnapshot { state, opened: 1, refused: 2, ..snapshot });
            let fares = ResilienceUse {
                source,
                shed_calls: 3,
                shed_bytes: 4,
                shed_rate: 5,
                retries: 6,
                timeouts: 7,
                ..ResilienceUse::default()
            };
            registry.watch_resilience("a", move || fares).unwrap();
            let is = |other: &str| u64::from(other == *name);
            assert_eq!(
                told(&registry),
                [
                    format!("breaker_state{{cache=\"a\",breaker=\"source\",state=\"closed\"}} {}", is("closed")),
                    format!("breaker_state{{cache=\"a\",breaker=\"source\",state=\"open\"}} {}", is("open")),
                    format!("breaker_state{{cache=\"a\",breaker=\"source\",state=\"half_open\"}} {}", is("half_open")),
                    "breaker_opened_total{cache=\"a\",breaker=\"source\"} 1".to_owned(),
                    "breaker_refused_total{cache=\"a\",breaker=\"source\"} 2".to_owned(),
                    "shed_total{cache=\"a\",limit=\"calls\"} 3".to_owned(),
                    "shed_total{cache=\"a\",limit=\"bytes\"} 4".to_owned(),
                    "shed_total{cache=\"a\",limit=\"rate\"} 5".to_owned(),
                    "retries_total{cache=\"a\"} 6".to_owned(),
                    "timeouts_total{cache=\"a\"} 7".to_owned(),
                ]
            );
        }
    }

    #[test]
    fn a_question_that_panics_is_answered_by_no_series_and_another_takes_its_place() {
        let registry = Registry::new();
        assert!(registry.watch_resilience("a b", ResilienceUse::default).is_err());
        registry.watch_resilience("a", || panic!("on purpose")).unwrap();
        registry.watch_resilience("b", || ResilienceUse { retries: 1, ..ResilienceUse::default() }).unwrap();
        assert!(told(&registry).iter().all(|line| line.contains("cache=\"b\"")));
        registry.watch_resilience("a", || ResilienceUse { retries: 2, ..ResilienceUse::default() }).unwrap();
        let lines = told(&registry);
        assert!(lines.contains(&"retries_total{cache=\"a\"} 2".to_owned()), "{lines:?}");
    }
}
