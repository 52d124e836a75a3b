//! The cache of the service: quotas, a near cache and the resilient stack in front of a store that sees sealed values
//! only; each shop is a tenant.

use std::time::Duration;

use anyhow::Result;
use memstache_core::{
    Cache, Health as _, Json, KeyspaceName, NearView, Tenanted,
    observe::{ObserveLayer, Registry, ResilienceUse, Tier},
    resilience::{BreakerConfig, CircuitBreaker, Resilience},
    testing::Faults,
};
use memstache_tenancy::{SamplingTask, TenantMetrics, Tenants};

use crate::{
    keys::Keys,
    place::Shop,
    store::{Kept, Parts},
};

/// The name of the cache in metrics.
const NAME: &str = "catalogue";

/// How long a request for a product may take, whatever is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// How long a load may take.
const LOAD_TIMEOUT: Duration = Duration::from_secs(1);

/// For how long it is remembered that there is no such product.
pub(crate) const NEGATIVE_TTL: Duration = Duration::from_secs(30);

/// Which part of a lifetime may be taken off by chance, so that not all end at once.
pub(crate) const JITTER: f64 = 0.1;

/// How long things live, and how long a source that failed is left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lives {
    pub(crate) ttl: Duration,
    /// For how long a product may be answered stale while one caller refreshes it, or the source is away.
    pub(crate) stale_for: Duration,
    /// How long the source's breaker stays open before one request tries again.
    pub(crate) source_pause: Duration,
}

impl Lives {
    /// Those of a service: 30 s each, besides its lifetime.
    pub(crate) const fn of(ttl: Duration) -> Self {
        let usual = Duration::from_secs(30);
        Self { ttl, stale_for: usual, source_pause: usual }
    }
}

/// The cache of the service.
#[derive(Debug)]
pub(crate) struct Caches {
    pub(crate) all: Cache<Json, Tenanted>,
    pub(crate) store: Kept,
    pub(crate) near: NearView,
    /// The shops' plans, and who uses how much.
    pub(crate) tenants: Tenants,
    /// What puts right what shops are thought to hold.
    _sampling: Option<SamplingTask>,
    /// The shops' keys.
    pub(crate) keys: Keys,
    /// What `/metrics` answers.
    pub(crate) registry: Registry,
    /// What the stack does not hang by.
    pub(crate) resilience: Resilience,
    /// The breaker of the database.
    pub(crate) source: CircuitBreaker,
    /// What goes wrong in the store: nothing, but for `--chaos`.
    pub(crate) faults: Faults,
}

/// One shop's part of the cache: no call on it can reach another shop's.
#[derive(Clone, Debug)]
pub(crate) struct ShopCaches {
    /// Products, by their number.
    pub(crate) products: Cache<Json>,
    /// Lists of categories, by category and order.
    pub(crate) lists: Cache<Json>,
}

impl Caches {
    /// Builds the stack over a store.
    pub(crate) fn new(store: Kept, tenants: Tenants, keys: Keys, lives: Lives) -> Result<Self> {
        let registry = Registry::new();
        let recorder = registry.recorder(NAME)?;
        tenants.publish(&registry, TenantMetrics::named())?;
        let (faults, resilience) = (Faults::new(), store.resilience()?);
        let source = CircuitBreaker::new(BreakerConfig::source().with_open_for(lives.source_pause))?;
        let guarded = source.clone();
        let health = move || {
            let mut part = guarded.health();
            part.part = "source".into();
            part
        };
        let (stack, near) = store.stack(Parts {
            faults: faults.clone(),
            resilience: resilience.clone(),
            source: Box::new(health),
            seal: keys.seal.clone(),
            quota: store.quota(&tenants),
            observe: ObserveLayer::new(recorder.clone()),
        })?;
        if let Kept::Memory(store) = &store {
            let watched = store.clone();
            registry.watch(NAME, Tier::Store, move || watched.stats().into())?;
        }
        let view = near.clone();
        registry.watch(NAME, Tier::Near, move || view.stats().into())?;
        let (limits, guarded) = (resilience.clone(), source.clone());
        registry.watch_resilience(NAME, move || ResilienceUse {
            source: Some(guarded.snapshot()),
            ..limits.snapshot().into()
        })?;
        let all = Cache::builder(stack)
            .keyspace("products")
            .format(Json)
            .schema("catalogue", 1)
            .ttl(lives.ttl)
            .stale_for(lives.stale_for)
            .load_timeout(LOAD_TIMEOUT)
            .source_breaker(&source)
            .jitter(JITTER)
            .recorder(recorder)
            .build_tenanted()?;
        let sampling = store.sampling(&tenants)?;
        Ok(Self { all, store, _sampling: sampling, near, tenants, keys, registry, resilience, source, faults })
    }

    /// Returns a shop's part, where no request says whose it is.
    pub(crate) fn of(&self, shop: Shop) -> ShopCaches {
        ShopCaches::new(self.all.for_tenant(&shop.tenant()))
    }
}

impl ShopCaches {
    /// Takes the shop's products, and finds its lists beside them.
    pub(crate) fn new(products: Cache<Json>) -> Self {
        let lists = KeyspaceName::new("categories").expect("a good name");
        Self { lists: products.with_keyspace(&lists), products }
    }
}
