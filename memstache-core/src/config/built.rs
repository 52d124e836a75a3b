//! What was made of a configuration.

use std::{collections::BTreeMap, fmt, sync::Arc};

#[cfg(feature = "resilience")]
use super::resilience::Guards;
use super::{Problem, Setting, handle::Handle};
use crate::{
    cache::{Cache, CacheBuilder, Tenanted},
    clock::Clock,
    error::Result,
    format::Format,
    near::NearView,
    observe::{self, Recorder},
    service::ErasedService,
};

/// A stack that was made of a configuration, and what handles on it are told.
///
/// Cheap to clone; clones are the same stack.
#[derive(Clone)]
pub struct Configured<F> {
    pub(super) service: ErasedService,
    pub(super) near: Option<NearView>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cache: Handle<F>,
    pub(super) keyspaces: BTreeMap<String, Handle<F>>,
    pub(super) settings: Arc<[Setting]>,
    pub(super) warnings: Arc<[Problem]>,
    pub(super) recorder: Option<Arc<dyn Recorder>>,
    pub(super) metrics: Option<observe::Registry>,
    #[cfg(feature = "resilience")]
    pub(super) guards: Option<Guards>,
}

impl<F: Format> Configured<F> {
    /// Returns the stack.
    pub fn service(&self) -> &ErasedService {
        &self.service
    }

    /// Returns the near cache, if one is configured.
    pub fn near(&self) -> Option<&NearView> {
        self.near.as_ref()
    }

    /// Returns what counts, where `observe.kind` is `registry`.
    pub fn metrics(&self) -> Option<&observe::Registry> {
        self.metrics.as_ref()
    }

    /// Returns the layers of `[resilience]`, if they are enabled.
    #[cfg(feature = "resilience")]
    pub fn resilience(&self) -> Option<&crate::resilience::Resilience> {
        self.guards.as_ref().map(Guards::resilience)
    }

    /// Returns the breaker of the source behind a keyspace, if one is enabled: that of `[cache.source_breaker]`, or the
    /// keyspace's own.
    #[cfg(feature = "resilience")]
    pub fn source_breaker(&self, keyspace: &str) -> Option<&crate::resilience::CircuitBreaker> {
        self.keyspaces.get(keyspace).unwrap_or(&self.cache).source.breaker()
    }

    /// Returns every setting that was read, with its value, its default and where it came from.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Returns the settings that differ from their defaults and have no effect, because of what others say: for the log of
    /// a service. The first hundred.
    ///
    /// ```
    /// use memstache_core::config::{CacheConfig, Registry};
    ///
    /// let built = CacheConfig::new().toml("near.policy = 'sieve'").build(&Registry::new())?;
    /// let [warning] = built.warnings() else { panic!("there is one") };
    /// assert_eq!(warning.path, "near.policy");
    /// assert_eq!(warning.message, "has no effect: there is no near cache without max_bytes");
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Starts building a handle on a keyspace, with all that is configured for it: to add a schema, or a namer.
    pub fn builder(&self, keyspace: &str) -> CacheBuilder<F> {
        let settings = self.keyspaces.get(keyspace).unwrap_or(&self.cache);
        let format = settings.format.clone().expect("it was found when the configuration was read");
        let builder = Cache::builder(self.service.clone()).keyspace(keyspace).clock(Arc::clone(&self.clock));
        let builder = settings.apply(builder).format(format);
        match &self.recorder {
            Some(recorder) => builder.recorder(Arc::clone(recorder)),
            None => builder,
        }
    }

    /// Builds the handle on a keyspace of a single-tenant service.
    pub fn cache(&self, keyspace: &str) -> Result<Cache<F>> {
        self.builder(keyspace).build()
    }

    /// Builds the handle on a keyspace of a service with tenants.
    pub fn tenanted(&self, keyspace: &str) -> Result<Cache<F, Tenanted>> {
        self.builder(keyspace).build_tenanted()
    }
}

impl<F> fmt::Debug for Configured<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").field("settings", &self.settings).finish_non_exhaustive()
    }
}
