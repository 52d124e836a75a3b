//! What handles are told: `[cache]`, and what a keyspace has of its own.

use std::time::Duration;

use super::{Section, registry::Registry, resilience::Source, units::Span};
use crate::{
    cache::{CacheBuilder, DEFAULT_MAX_LOADS, MOST_LOADS},
    format::Format,
    lifetime::MAX_TTL,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The settings of a handle.
#[derive(Clone)]
pub(super) struct Handle<F> {
    pub(super) format: Option<F>,
    format_name: String,
    ttl: Option<Duration>,
    sliding: Option<Duration>,
    stale_for: Duration,
    jitter: f64,
    negative_ttl: Option<Duration>,
    max_staleness: Option<Duration>,
    refresh_ahead: Option<f64>,
    early_refresh: Option<f64>,
    store_timeout: Duration,
    load_timeout: Duration,
    soft_timeout: Duration,
    hard_timeout: Option<Duration>,
    keep_loading: bool,
    max_loads: usize,
    refresh_pause: Duration,
    error_backoff: Option<Duration>,
    error_backoff_max: Duration,
    pub(super) source: Source,
}

impl<F: Format> Handle<F> {
    /// As [`CacheBuilder`] has it.
    pub(super) fn new(registry: &Registry<F>) -> Self {
        Self {
            format: None,
            format_name: registry.format_names.first().cloned().unwrap_or_default(),
            ttl: None,
            sliding: None,
            stale_for: Duration::ZERO,
            jitter: 0.0,
            negative_ttl: None,
            max_staleness: None,
            refresh_ahead: None,
            early_refresh: None,
            store_timeout: Duration::from_secs(2),
            load_timeout: Duration::from_secs(30),
            soft_timeout: Duration::ZERO,
            hard_timeout: None,
            keep_loading: false,
            max_loads: DEFAULT_MAX_LOADS,
            refresh_pause: Duration::from_secs(1),
            error_backoff: None,
            error_backoff_max: Duration::from_secs(60),
            source: Source::default(),
        }
    }

    /// Reads a section whose defaults are these settings.
    pub(super) fn read(&self, section: &mut Section<'_>, registry: &Registry<F>) -> Self {
        let lives = || MILLISECOND..=MAX_TTL;
        let names: Vec<_> = registry.format_names.iter().map(String::as_str).collect();
        let format_name = section.choice("format", &self.format_name, &names);
        let format = match (registry.find_format)(&format_name) {
            Ok(format) => Some(format),
            Err(error) => {
                section.refuse("format", error);
                None
            }
        };
        Self {
            format,
            format_name,
            ttl: section.time("ttl", self.ttl, &lives(), true),
            sliding: section.time("sliding", self.sliding, &lives(), true),
            stale_for: section.span("stale_for", self.stale_for, Duration::ZERO..=MAX_TTL),
            jitter: section.number("jitter", self.jitter, 0.0..=1.0),
            negative_ttl: section.time("negative_ttl", self.negative_ttl, &lives(), true),
            max_staleness: section.time("max_staleness", self.max_staleness, &lives(), true),
            refresh_ahead: section.real("refresh_ahead", self.refresh_ahead, &(0.001..=1.0), true),
            early_refresh: section.real("early_refresh", self.early_refresh, &(0.001..=100.0), true),
            store_timeout: section.span("store_timeout", self.store_timeout, MILLISECOND..=HOUR),
            load_timeout: section.span("load_timeout", self.load_timeout, MILLISECOND..=HOUR * 24),
            soft_timeout: section.span("soft_timeout", self.soft_timeout, Duration::ZERO..=HOUR),
            hard_timeout: section.time("hard_timeout", self.hard_timeout, &(MILLISECOND..=HOUR * 24), true),
            keep_loading: section.flag("keep_loading", self.keep_loading),
            max_loads: section.count("max_loads", self.max_loads, 1..=MOST_LOADS),
            refresh_pause: section.span("refresh_pause", self.refresh_pause, Duration::ZERO..=HOUR * 24),
            error_backoff: section.time("error_backoff", self.error_backoff, &(MILLISECOND..=HOUR * 24), true),
            error_backoff_max: section.span("error_backoff_max", self.error_backoff_max, MILLISECOND..=HOUR * 24),
            source: self.source.read(section),
        }
    }

    /// Notes what the settings say against each other, and which of them have no effect.
    pub(super) fn check(&self, section: &mut Section<'_>) {
        if let Some((key, why)) = self.disagreement() {
            section.refuse(key, why);
        }
        if self.error_backoff.is_none() {
            section.warn("error_backoff_max", "has no effect: errors are not remembered without error_backoff");
        }
        let limit = self.load_timeout;
        let ends = format!("is longer than load_timeout ({}), which ends the load before", Span(limit));
        if self.hard_timeout.is_some_and(|hard| hard > limit) {
            section.warn("hard_timeout", &ends);
        }
        if self.soft_timeout > limit {
            section.warn("soft_timeout", &ends);
        }
    }

    /// Returns which setting does not go with another one, and why.
    pub(super) fn disagreement(&self) -> Option<(&'static str, String)> {
        let above = |given: Option<Duration>, most: Duration| given.filter(|given| *given > most);
        let told =
            |what: &str, most, given| format!("must be at most {what} ({}), but {} was given", Span(most), Span(given));
        if let Some((ttl, window)) = self.ttl.and_then(|ttl| Some((ttl, above(self.sliding, ttl)?))) {
            return Some(("sliding", told("the ttl", ttl, window)));
        }
        let max = self.error_backoff_max;
        above(self.error_backoff, max).map(|first| ("error_backoff", told("error_backoff_max", max, first)))
    }

    /// Sets them on a builder.
    pub(super) fn apply<G>(&self, builder: CacheBuilder<G>) -> CacheBuilder<G> {
        let mut builder = builder
            .stale_for(self.stale_for)
            .jitter(self.jitter)
            .store_timeout(self.store_timeout)
            .load_timeout(self.load_timeout)
            .soft_timeout(self.soft_timeout)
            .keep_loading(self.keep_loading)
            .max_loads(self.max_loads)
            .refresh_pause(self.refresh_pause);
        let set = |builder: CacheBuilder<G>, span: Option<Duration>, set: fn(CacheBuilder<G>, Duration) -> _| match span
        {
            Some(span) => set(builder, span),
            None => builder,
        };
        builder = set(builder, self.ttl, CacheBuilder::ttl);
        builder = set(builder, self.sliding, CacheBuilder::sliding);
        builder = set(builder, self.negative_ttl, CacheBuilder::negative_ttl);
        builder = set(builder, self.max_staleness, CacheBuilder::max_staleness);
        builder = set(builder, self.hard_timeout, CacheBuilder::hard_timeout);
        if let Some(fraction) = self.refresh_ahead {
            builder = builder.refresh_ahead(fraction);
        }
        if let Some(beta) = self.early_refresh {
            builder = builder.early_refresh(beta);
        }
        if let Some(first) = self.error_backoff {
            builder = builder.error_backoff(first, self.error_backoff_max);
        }
        self.source.apply(builder)
    }
}
