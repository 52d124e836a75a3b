//! The breaker of a data source: `[cache.source_breaker]`, and what a keyspace has of its own.

use super::{agreed, breaker::BreakerSettings};
use crate::{
    cache::CacheBuilder,
    config::Section,
    health::{Health as _, Parts},
    resilience::{BreakerConfig, CircuitBreaker},
};

/// A breaker that handles share.
#[derive(Clone)]
pub(in crate::config) struct Source {
    settings: BreakerSettings,
    breaker: Option<CircuitBreaker>,
    /// It is not another section's.
    own: bool,
}

impl Default for Source {
    fn default() -> Self {
        Self { settings: BreakerSettings::of(&BreakerConfig::source(), false), breaker: None, own: true }
    }
}

impl Source {
    /// Reads the breaker of a section; where nothing is set, it is the same breaker as before.
    pub(in crate::config) fn read(&self, section: &mut Section<'_>) -> Self {
        let mut section = section.part("source_breaker");
        let same = section.is_empty();
        let settings = self.settings.read(&mut section);
        if same && section.inherits() {
            return Self { own: false, ..self.clone() };
        }
        section.switched(settings.enabled);
        let clock = section.clock();
        let (breaker, wrong) = match CircuitBreaker::new(settings.config()) {
            Ok(breaker) => (settings.enabled.then(|| breaker.with_clock(clock)), None),
            Err(wrong) => (None, Some(wrong)),
        };
        agreed(section, wrong);
        Self { settings, breaker, own: true }
    }

    pub(in crate::config) const fn breaker(&self) -> Option<&CircuitBreaker> {
        self.breaker.as_ref()
    }

    pub(in crate::config) fn apply<G>(&self, builder: CacheBuilder<G>) -> CacheBuilder<G> {
        match &self.breaker {
            Some(breaker) => builder.source_breaker(breaker),
            None => builder,
        }
    }

    /// Has it be asked how it is, under a name; once, whoever shares it.
    pub(in crate::config) fn watch(&self, name: &str, parts: &mut Parts) {
        if let Some(breaker) = self.breaker.clone().filter(|_| self.own) {
            let name = name.to_owned();
            parts.push(move || {
                let mut part = breaker.health();
                part.part = name.clone().into();
                part
            });
        }
    }
}
