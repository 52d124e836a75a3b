//! Building a handle: every setting is checked, all at once.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Cache, Scoped, Tenanted,
    core::{Core, LoadOptions, Random, Settings},
    counters::Counters,
    load::{DEFAULT_MAX_LOADS, Failures, LoadBound, Releases},
    options::{Until, WriteOptions, timeout},
};
use crate::{
    address::{Namer, Space},
    clock::{Clock, SystemClock, Ticker},
    coalesce::Coalesce,
    entry::{HasSchema, Schema},
    error::{Error, Result, all_of},
    format::Format,
    lifetime::bounded,
    name::KeyspaceName,
    observe::Recorder,
    service::ErasedService,
    util::in_unit,
};

/// Builds a [`Cache`].
///
/// Nothing is checked before [`build`](Self::build); its error names every wrong setting. Times are at most 3,650 days
/// ([`MAX_TTL`](crate::MAX_TTL)), and above zero but for those that are zero by default (`stale_for`, `soft_timeout`) and
/// `refresh_pause`.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::{Cache, Json, MemoryStore, Stack};
///
/// let stack = Stack::over(MemoryStore::builder().build()?).build();
/// let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
/// let users = Cache::builder(stack)
///     .keyspace("users")
///     .format(Json)
///     .schema("user", 3)
///     .ttl(minutes(60))
///     .stale_for(minutes(10))
///     .jitter(0.1)
///     .negative_ttl(minutes(1))
///     .refresh_ahead(0.9)
///     .error_backoff(Duration::from_millis(100), minutes(1))
///     .build()?;
/// # let _ = users;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[must_use = "nothing is built before `build`"]
pub struct CacheBuilder<F> {
    service: ErasedService,
    format: F,
    keyspace: Option<String>,
    namer: Option<Arc<dyn Namer>>,
    /// `None`: the system's.
    clock: Option<Ticker>,
    random: Random,
    recorder: Option<Arc<dyn Recorder>>,
    backoff: Option<(Duration, Duration)>,
    settings: Settings,
}

impl CacheBuilder<()> {
    pub(super) fn new(service: ErasedService) -> Self {
        let settings = Settings {
            write: WriteOptions::default(),
            load: LoadOptions::default(),
            schema: None,
            max_staleness: None,
            store_timeout: Duration::from_secs(2),
            load_timeout: Duration::from_secs(30),
            max_loads: DEFAULT_MAX_LOADS,
            refresh_pause: Duration::from_secs(1),
        };
        Self {
            service,
            format: (),
            keyspace: None,
            namer: None,
            clock: None,
            random: Arc::new(fastrand::f64),
            recorder: None,
            backoff: None,
            settings,
        }
    }
}

impl<F> CacheBuilder<F> {
    /// Names the keyspace: 1 to 64 bytes of `[A-Za-z0-9._-]`. Required.
    pub fn keyspace(mut self, keyspace: impl Into<String>) -> Self {
        self.keyspace = Some(keyspace.into());
        self
    }

    /// Chooses how values become bytes. Required.
    pub fn format<G: Format>(self, format: G) -> CacheBuilder<G> {
        let Self { service, format: _, keyspace, namer, clock, random, recorder, backoff, settings } = self;
        CacheBuilder { service, format, keyspace, namer, clock, random, recorder, backoff, settings }
    }

    /// Stamps values with a schema; values with another one, or none, are misses. Default: none.
    pub fn schema(mut self, name: &str, version: u32) -> Self {
        self.settings.schema = Some(Schema::new(name, version));
        self
    }

    /// Stamps values with the schema that a type says it has; values with another one, or none, are misses.
    ///
    /// ```
    /// # fn f(builder: memstache_core::CacheBuilder<()>) {
    /// # use memstache_core::HasSchema;
    /// struct User;
    /// impl HasSchema for User {
    ///     const NAME: &'static str = "user";
    ///     const VERSION: u32 = 3;
    /// }
    /// let builder = builder.schema_of::<User>(); // as `schema("user", 3)`
    /// # }
    /// ```
    pub fn schema_of<T: HasSchema + ?Sized>(mut self) -> Self {
        self.settings.schema = Some(T::SCHEMA);
        self
    }

    /// Chooses how stores see names. Default: plainly.
    pub fn namer(mut self, namer: impl Namer) -> Self {
        self.namer = Some(Arc::new(namer));
        self
    }

    /// Chooses the clock; it must be the stack's. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Ticker::new(clock));
        self
    }

    /// Chooses the source of numbers uniform in 0..1, for jitter and early refresh; what is not within is brought there, and
    /// NaN is 0. Default: a fast generator.
    pub fn random(mut self, random: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.random = Arc::new(move || in_unit(random()));
        self
    }

    /// Chooses who is told how requests end and what became of loads, beside [`CacheStats`](crate::CacheStats): near hits
    /// too, which pass no layer. Default: nobody.
    pub fn recorder(mut self, recorder: impl Recorder) -> Self {
        self.recorder = Some(Arc::new(recorder));
        self
    }

    /// Sets how long values live. Default: until the store's own limit or their eviction.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.write.until = Some(Until::Ttl(ttl));
        self
    }

    /// Sets after how long without a read values expire; at most the ttl. Default: never.
    pub fn sliding(mut self, window: Duration) -> Self {
        self.settings.write.sliding = Some(window);
        self
    }

    /// Sets for how long values may be served stale after they stopped being fresh. Default: not at all.
    pub fn stale_for(mut self, grace: Duration) -> Self {
        self.settings.write.stale_for = Some(grace);
        self
    }

    /// Shortens each ttl by a random part of it, up to this fraction. Default: 0.
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.settings.write.jitter = Some(fraction);
        self
    }

    /// Sets for how long it is remembered that the source has no such key. Default: not at all.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.settings.load.negative_ttl = Some(ttl);
        self
    }

    /// Sets how long ago an answer may have last been confirmed by its authority, over all tiers. Default: any time.
    pub fn max_staleness(mut self, age: Duration) -> Self {
        self.settings.max_staleness = Some(age);
        self
    }

    /// Refreshes values in the background once this fraction of their life has passed: above 0, at most 1; single keys only.
    /// Default: never.
    pub fn refresh_ahead(mut self, fraction: f64) -> Self {
        self.settings.load.refresh_ahead = Some(fraction);
        self
    }

    /// Refreshes values early by chance (XFetch), weighing what they cost to load by `beta`; 2 is a good value.
    /// Single keys only. Default: never.
    pub fn early_refresh(mut self, beta: f64) -> Self {
        self.settings.load.early_refresh = Some(beta);
        self
    }

    /// Bounds each call to the store: a whole `get` or `set`, and each of the store's parts of a loading call. A loading call as
    /// a whole ends by [`hard_timeout`](Self::hard_timeout). Default: 2 s.
    pub fn store_timeout(mut self, limit: Duration) -> Self {
        self.settings.store_timeout = limit;
        self
    }

    /// Bounds each load, however many wait for it. Default: 30 s.
    pub fn load_timeout(mut self, limit: Duration) -> Self {
        self.settings.load_timeout = limit;
        self
    }

    /// Bounds the loads at one time, of this handle, its clones and its tenants: from 1 to 1,048,576. Default: 1,024.
    ///
    /// A load counts from before its loader is called until its value is stored, so that this bounds what a source that
    /// hangs is asked, and the values that are on their way to the store; a batch is one load. One load more is
    /// [`Overloaded`](crate::ErrorKind::Overloaded) at once, and its loader is not called; where there is a stale value,
    /// that is served. Nobody queues, so a loader that loads other keys by the same handle may find no place.
    /// [`health`](Cache::health) has it in the part `loads`, which is degraded from seven eighths on.
    ///
    /// ```
    /// # use memstache_core::{Cache, Condition, Json, MemoryStore, Stack};
    /// let stack = Stack::over(MemoryStore::builder().build()?).build();
    /// let cache = Cache::builder(stack).keyspace("k").format(Json).max_loads(64).build()?;
    /// assert_eq!(cache.health().part("loads").unwrap().condition, Condition::Healthy);
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn max_loads(mut self, loads: usize) -> Self {
        self.settings.max_loads = loads;
        self
    }

    /// Sets how long the caller who refreshes a stale value waits for the fresh one; others get the stale value at once.
    /// Default: not at all.
    pub fn soft_timeout(mut self, limit: Duration) -> Self {
        self.settings.load.soft_timeout = limit;
        self
    }

    /// Sets how long a caller that has no value waits for one: the deadline of `get_or_load` and `get_many_or_load`, unless the
    /// call has a [`timeout`](crate::LoadBuilder::timeout). Default: the [load timeout](Self::load_timeout), 30 s, and not the
    /// store's.
    pub fn hard_timeout(mut self, limit: Duration) -> Self {
        self.settings.load.hard_timeout = Some(limit);
        self
    }

    /// Lets a load go on when its last caller ran into the hard timeout. Default: it is stopped.
    pub fn keep_loading(mut self, keep: bool) -> Self {
        self.settings.load.keep_loading = keep;
        self
    }

    /// Puts all loads behind a circuit breaker: that of their data source. Default: none.
    ///
    /// While it is open, loads fail at once with [`Unavailable`](crate::ErrorKind::Unavailable) and
    /// [when to try again](Error::retry_after); stale values are served as after any failed load. A load fails by its
    /// loader's error or panic, its timeout, or when everybody who waited for it ran out of time; that the source has no
    /// such key is an answer, and a loader's own memstache [`Error`] is judged by
    /// [what it is](crate::resilience::Verdict::of).
    ///
    /// Give caches of one source the same breaker. A load that a loader asks for, of another key or another cache, is a part of
    /// its own load, and is let through with it; not so in a task that the loader spawns, whose refusal then says nothing about
    /// the source. The breaker must be [probed by requests](crate::resilience::Probing::Requests): nobody probes a source apart,
    /// so that one of [`leaf`](crate::resilience::BreakerConfig::leaf) is [`Invalid`](crate::ErrorKind::Invalid).
    ///
    /// ```
    /// # fn f(builder: memstache_core::CacheBuilder<()>) -> memstache_core::Result<()> {
    /// use memstache_core::resilience::{BreakerConfig, CircuitBreaker};
    ///
    /// let database = CircuitBreaker::new(BreakerConfig::source())?;
    /// let builder = builder.source_breaker(&database);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "resilience")]
    pub fn source_breaker(mut self, breaker: &crate::resilience::CircuitBreaker) -> Self {
        self.settings.load.source.breaker = Some(breaker.clone());
        self
    }

    /// Sets how long after a failed refresh of a stale value the next one may start. Default: 1 s.
    pub fn refresh_pause(mut self, pause: Duration) -> Self {
        self.settings.refresh_pause = pause;
        self
    }

    /// Remembers a failed load of a missing key: `first` long, doubled with each further failure, at most `max`.
    /// Meanwhile its error is answered without asking the source. Default: errors are not remembered.
    pub fn error_backoff(mut self, first: Duration, max: Duration) -> Self {
        self.backoff = Some((first, max));
        self
    }

    fn check(&self) -> Result<KeyspaceName> {
        let settings = &self.settings;
        let keyspace = self.keyspace.as_deref().ok_or_else(|| Error::invalid("keyspace", "set", "nothing"));
        let keyspace = keyspace.and_then(KeyspaceName::new);
        let mut wrong: Vec<Error> = keyspace.as_ref().err().cloned().into_iter().collect();
        let wall = self.clock.as_ref().map_or_else(|| SystemClock::new().wall(), |clock| clock.wall());
        wrong.extend(settings.write.wrong(wall));
        wrong.extend(settings.load.wrong());
        let mut note = |result: Result<()>| wrong.extend(result.err());
        note(settings.max_staleness.map_or(Ok(()), |age| timeout("max_staleness", age).map(drop)));
        note(timeout("store_timeout", settings.store_timeout).map(drop));
        note(timeout("load_timeout", settings.load_timeout).map(drop));
        note(bounded("refresh_pause", settings.refresh_pause).map(drop));
        note(LoadBound::check(settings.max_loads));
        note(self.backoff.map_or(Ok(()), |(first, max)| Failures::check(first, max)));
        all_of(&wrong)?;
        keyspace
    }

    fn into_core(self) -> (Arc<Core>, F) {
        let Self { service, format, keyspace: _, namer, clock, random, recorder, backoff, settings } = self;
        let failures = backoff.map(|(first, max)| Failures::new(first, max));
        let (counters, flights, early) = (Counters::new(recorder), Coalesce::new(), Coalesce::new());
        let (bound, releases) = (LoadBound::new(settings.max_loads), Releases::default());
        let clock = clock.unwrap_or_default();
        let core =
            Core { service, namer, clock, random, settings, counters, flights, early, failures, bound, releases };
        (Arc::new(core), format)
    }
}

impl<F: Format> CacheBuilder<F> {
    /// Builds the handle of a single-tenant service.
    pub fn build(self) -> Result<Cache<F>> {
        let space = Space::new(None, &self.check()?);
        let (core, format) = self.into_core();
        Ok(Cache { core, format, state: Scoped { space } })
    }

    /// Builds the handle of a service with tenants, which cannot be used before it is told for whom.
    pub fn build_tenanted(self) -> Result<Cache<F, Tenanted>> {
        let keyspace = self.check()?;
        let (core, format) = self.into_core();
        Ok(Cache { core, format, state: Tenanted { keyspace } })
    }
}

impl LoadOptions {
    pub(super) fn check(&self) -> Result<()> {
        self.wrong().next().map_or(Ok(()), Err)
    }

    /// Everything that is wrong.
    fn wrong(&self) -> impl Iterator<Item = Error> {
        let negative_ttl = self.negative_ttl.and_then(|ttl| timeout("negative_ttl", ttl).err());
        let soft_timeout = bounded("soft_timeout", self.soft_timeout).err();
        let hard_timeout = self.hard_timeout.and_then(|limit| timeout("hard_timeout", limit).err());
        // Nothing passed of a life is every hit.
        let part = self.refresh_ahead.filter(|part| !(*part > 0.0 && *part <= 1.0));
        let refresh_ahead = part.map(|part| Error::invalid("refresh_ahead", "above 0 and at most 1", part));
        let beta = self.early_refresh.filter(|beta| !(*beta > 0.0 && *beta <= 100.0));
        let early_refresh = beta.map(|beta| Error::invalid("early_refresh", "above 0 and at most 100", beta));
        let source = self.source.check().err();
        [negative_ttl, soft_timeout, hard_timeout, refresh_ahead, early_refresh, source].into_iter().flatten()
    }
}

impl<F> fmt::Debug for CacheBuilder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
