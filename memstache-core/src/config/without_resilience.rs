//! What stands for breakers, limits and retries where feature `resilience` is not built in: its sections are errors.

use std::convert::Infallible;

use figment::value::Value;

use super::{Section, registry::Place, section::Reader};
use crate::{cache::CacheBuilder, health::Parts, service::ErasedService};

const FEATURE: &str = "resilience";

/// The layers of `[resilience]`: there are none.
#[derive(Clone)]
pub(super) struct Guards(Infallible);

impl Guards {
    pub(super) fn read(reader: &Reader<'_>, value: Option<Value>) -> Option<Self> {
        if let Some(value) = value {
            reader.needs(FEATURE, FEATURE, &value);
        }
        None
    }

    pub(super) fn has(&self, _: Place) -> Option<&'static str> {
        match self.0 {}
    }

    pub(super) fn wrap(&self, _: Place, _: ErasedService) -> ErasedService {
        match self.0 {}
    }

    pub(super) fn watch(&self, _: &mut Parts) {
        match self.0 {}
    }
}

/// The breaker of a data source: there is none.
#[derive(Clone, Default)]
pub(super) struct Source(());

impl Source {
    pub(super) fn read(&self, section: &mut Section<'_>) -> Self {
        section.needs("source_breaker", FEATURE);
        Self(())
    }

    pub(super) fn apply<G>(&self, builder: CacheBuilder<G>) -> CacheBuilder<G> {
        builder
    }

    pub(super) fn watch(&self, _: &str, _: &mut Parts) {}
}
