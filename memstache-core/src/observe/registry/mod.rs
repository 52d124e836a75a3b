//! Counts in memory, for whoever asks.

mod cache;
mod database;
mod histogram;
#[cfg(feature = "resilience")]
mod resilience;
mod sample;
mod tenants;
mod text;
mod tier;

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use parking_lot::RwLock;

#[cfg(feature = "resilience")]
use self::resilience::Fares;
#[cfg(feature = "resilience")]
pub use self::resilience::ResilienceUse;
pub(crate) use self::sample::Sample;
use self::tier::Watched;
pub use self::{
    cache::CacheMetrics,
    database::{DatabaseCalls, DatabaseCommand},
    tenants::{MAX_TENANTS, OTHER_TENANTS, Resource, SHARED_SPACE, TenantUse},
    tier::{Tier, TierUse},
};
#[cfg(feature = "otlp")]
pub(crate) use self::{histogram::Buckets, sample::Value};
use crate::{
    error::{Error, Result},
    name,
};

/// Most caches of one [`Registry`].
pub const MAX_CACHES: usize = 1000;

/// Holds what the caches of an application count, and writes it as Prometheus reads it.
///
/// Clones share everything. The number of series depends on the number of caches alone, whatever their keys and tenants:
/// some 20, and 25 for each operation and result that there was.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_core::{Cache, Json, MemoryStore, Stack, observe::{ObserveLayer, Registry, Tier}};
///
/// let registry = Registry::new();
/// let recorder = registry.recorder("products")?;
/// let store = MemoryStore::builder().max_bytes(1 << 20).build()?;
/// registry.watch("products", Tier::Store, {
///     let store = store.clone();
///     move || store.stats().into()
/// })?;
/// let stack = Stack::over(store).observe(ObserveLayer::new(recorder.clone())).build();
/// let cache = Cache::builder(stack).keyspace("products").format(Json).recorder(recorder).build()?;
///
/// cache.set("7", "tea").await?;
/// assert_eq!(cache.get::<String>("7").await?.as_deref(), Some("tea"));
/// let text = registry.prometheus_text(); // what `GET /metrics` answers, as `Registry::CONTENT_TYPE`
/// assert!(text.contains("memstache_requests_total{memstache_cache=\"products\",memstache_outcome=\"hit\"} 1\n"));
/// assert!(text.contains("memstache_tier_entries{memstache_cache=\"products\",memstache_tier=\"store\"} 1\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    caches: RwLock<BTreeMap<Arc<str>, Arc<CacheMetrics>>>,
    tiers: RwLock<BTreeMap<(Arc<str>, Tier), Watched>>,
    databases: RwLock<BTreeMap<Arc<str>, Arc<DatabaseCalls>>>,
    tenants: RwLock<Option<AskTenants>>,
    #[cfg(feature = "resilience")]
    resilience: RwLock<BTreeMap<Arc<str>, Fares>>,
    #[cfg(feature = "otlp")]
    drops: std::sync::OnceLock<Arc<crate::telemetry::Drops>>,
}

/// Asks what tenants use.
type AskTenants = Arc<dyn Fn() -> Vec<TenantUse> + Send + Sync>;

impl Registry {
    /// The content type of [`prometheus_text`](Self::prometheus_text).
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Creates an empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the recorder of a cache; for the same name always the same one.
    ///
    /// The name is 1 to 64 bytes of `[A-Za-z0-9._-]` and becomes an attribute of every series: never make it of what a
    /// caller sent.
    ///
    /// # Errors
    /// `Invalid` for another name, or for more than [`MAX_CACHES`].
    pub fn recorder(&self, cache: &str) -> Result<Arc<CacheMetrics>> {
        let name = name::label("the cache's name", cache)?;
        let mut caches = self.0.caches.write();
        if let Some(recorder) = caches.get(&name) {
            return Ok(Arc::clone(recorder));
        }
        check_room(caches.len(), MAX_CACHES)?;
        let recorder = Arc::new(CacheMetrics::new(Arc::clone(&name)));
        caches.insert(name, Arc::clone(&recorder));
        Ok(recorder)
    }

    /// Asks what a tier of a cache holds each time that somebody reads the registry. Another question for the same tier
    /// takes this one's place. A question that panics is answered by no series.
    ///
    /// # Errors
    /// As of [`recorder`](Self::recorder).
    pub fn watch(&self, cache: &str, tier: Tier, ask: impl Fn() -> TierUse + Send + Sync + 'static) -> Result<()> {
        let name = name::label("the cache's name", cache)?;
        let mut tiers = self.0.tiers.write();
        let key = (name, tier);
        if !tiers.contains_key(&key) {
            check_room(tiers.len(), MAX_CACHES * Tier::ALL.len())?;
        }
        tiers.insert(key, Watched(Arc::new(ask)));
        Ok(())
    }

    /// Asks how a cache's breakers, limits and retries fare each time that somebody reads the registry. Another question for
    /// the same cache takes this one's place. A question that panics is answered by no series.
    ///
    /// ```
    /// # fn main() -> memstache_core::Result<()> {
    /// use memstache_core::{
    ///     MemoryStore, Stack,
    ///     observe::{Registry, ResilienceUse},
    ///     resilience::{BreakerConfig, CircuitBreaker, Resilience},
    /// };
    ///
    /// let (registry, resilience) = (Registry::new(), Resilience::default());
    /// let stack = Stack::over(MemoryStore::builder().build()?).resilient(&resilience).build();
    /// let source = CircuitBreaker::new(BreakerConfig::source())?; // given to the cache, if there is one
    /// registry.watch_resilience("products", move || {
    ///     ResilienceUse { source: Some(source.snapshot()), ..resilience.snapshot().into() }
    /// })?;
    /// let text = registry.prometheus_text();
    /// assert!(text.contains("memstache_timeouts_total{memstache_cache=\"products\"} 0\n"));
    /// # let _ = stack;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As of [`recorder`](Self::recorder).
    #[cfg(feature = "resilience")]
    pub fn watch_resilience(&self, cache: &str, ask: impl Fn() -> ResilienceUse + Send + Sync + 'static) -> Result<()> {
        let name = name::label("the cache's name", cache)?;
        let mut resilience = self.0.resilience.write();
        if !resilience.contains_key(&name) {
            check_room(resilience.len(), MAX_CACHES)?;
        }
        resilience.insert(name, Fares(Arc::new(ask)));
        Ok(())
    }

    /// Tells the times of the commands that the store of a cache sends to its database. Those of another store for the same
    /// cache take the place of these.
    ///
    /// # Errors
    /// As of [`recorder`](Self::recorder).
    pub fn watch_database(&self, cache: &str, calls: Arc<DatabaseCalls>) -> Result<()> {
        let name = name::label("the cache's name", cache)?;
        let mut databases = self.0.databases.write();
        if !databases.contains_key(&name) {
            check_room(databases.len(), MAX_CACHES)?;
        }
        databases.insert(name, calls);
        Ok(())
    }

    /// Asks what tenants use each time that somebody reads the registry. Another question takes this one's place.
    ///
    /// Of its answer, the first [`MAX_TENANTS`] and one more are told. Names of tenants become attributes that everybody
    /// sees who sees metrics: name those that may be seen.
    ///
    /// ```
    /// use memstache_core::observe::{OTHER_TENANTS, Registry, TenantUse};
    ///
    /// let registry = Registry::new();
    /// registry.watch_tenants(|| vec![TenantUse { name: OTHER_TENANTS.into(), operations: 7, ..TenantUse::default() }]);
    /// let text = registry.prometheus_text();
    /// assert!(text.contains("memstache_tenant_operations_total{memstache_tenant=\"(other)\"} 7\n"));
    /// ```
    pub fn watch_tenants(&self, ask: impl Fn() -> Vec<TenantUse> + Send + Sync + 'static) {
        *self.0.tenants.write() = Some(Arc::new(ask));
    }

    /// Writes everything in Prometheus' text format, to be answered to a scrape.
    pub fn prometheus_text(&self) -> String {
        text::render(&self.samples())
    }

    /// Has dropped telemetry told too.
    #[cfg(feature = "otlp")]
    pub(crate) fn count_drops(&self, drops: &Arc<crate::telemetry::Drops>) -> Result<()> {
        let taken = |_| Error::invalid("the registry", "of one Telemetry only", "one of another");
        self.0.drops.set(Arc::clone(drops)).map_err(taken)
    }

    /// Takes every series as it stands.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let mut out = Vec::new();
        // What is asked may use the registry: no lock is held meanwhile.
        let caches: Vec<_> = self.0.caches.read().values().cloned().collect();
        caches.iter().for_each(|cache| cache.samples(&mut out));
        let tiers: Vec<_> = self.0.tiers.read().iter().map(|(key, watched)| (key.clone(), watched.clone())).collect();
        tiers.iter().for_each(|((cache, tier), watched)| watched.samples(cache, *tier, &mut out));
        #[cfg(feature = "resilience")]
        {
            let all: Vec<_> =
                self.0.resilience.read().iter().map(|(cache, it)| (Arc::clone(cache), it.clone())).collect();
            all.iter().for_each(|(cache, fares)| fares.samples(cache, &mut out));
        }
        self.0.databases.read().iter().for_each(|(cache, calls)| calls.samples(cache, &mut out));
        let ask = self.0.tenants.read().clone();
        let tenants = ask.map(|ask| catch_unwind(AssertUnwindSafe(|| ask()))).transpose().unwrap_or_else(|_| {
            tracing::error!("what was asked for the use of tenants panicked");
            None
        });
        let tenants = tenants.unwrap_or_default();
        tenants.iter().take(MAX_TENANTS + 1).for_each(|tenant| tenant.samples(&mut out));
        #[cfg(feature = "otlp")]
        if let Some(drops) = self.0.drops.get() {
            drops.samples(&mut out);
        }
        out
    }
}

fn check_room(used: usize, most: usize) -> Result<()> {
    let full =
        || Error::invalid("the number of caches of a registry", format_args!("at most {MAX_CACHES}"), "one more");
    if used < most { Ok(()) } else { Err(full()) }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("caches", &self.0.caches.read().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_name_has_one_recorder() {
        let registry = Registry::new();
        let (one, same) = (registry.recorder("a").unwrap(), registry.recorder("a").unwrap());
        assert!(Arc::ptr_eq(&one, &same) && one.name() == "a");
        let error = registry.recorder("a b").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with("the cache's name must be made of"), "{error}");
        assert!(registry.watch("", Tier::Near, TierUse::default).is_err());
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let registry = Registry::new();
        (0..MAX_CACHES).for_each(|n| drop(registry.recorder(&format!("c{n}")).unwrap()));
        let error = registry.recorder("more").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the number of caches of a registry must be at most 1000, but one more was given"
        );
        assert!(registry.recorder("c7").is_ok(), "those that are there are");
    }

    #[test]
    fn a_question_that_panics_takes_no_other_with_it() {
        let registry = Registry::new();
        registry.watch("a", Tier::Near, || panic!("on purpose")).unwrap();
        registry.watch("a", Tier::Store, TierUse::default).unwrap();
        let text = registry.prometheus_text();
        assert!(text.contains("memstache_tier_entries{memstache_cache=\"a\",memstache_tier=\"store\"} 0"), "{text}");
        assert!(!text.contains("memstache_tier=\"near\""), "{text}");
    }

    #[test]
    fn another_question_takes_the_place_of_the_first() {
        let registry = Registry::new();
        let held = |entries| move || TierUse { entries, ..TierUse::default() };
        registry.watch("a", Tier::Store, held(1)).unwrap();
        registry.watch("a", Tier::Store, held(2)).unwrap();
        let text = registry.prometheus_text();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("memstache_tier_entries")).collect();
        assert_eq!(lines, ["memstache_tier_entries{memstache_cache=\"a\",memstache_tier=\"store\"} 2"]);
    }
}
