//! The cache of the service: a near cache and the resilient stack in front of a store, one tenant for each shop.

use std::time::Duration;

use anyhow::Result;
use memstache_core::{
    Cache, Health as _, Json, KeyspaceName, NearView, TenantId, Tenanted,
    observe::{ObserveLayer, Registry, Tier},
    resilience::{BreakerConfig, CircuitBreaker, Resilience},
    testing::Faults,
};

use crate::{
    database::Size,
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
    /// What `/metrics` answers.
    pub(crate) registry: Registry,
    /// What the stack does not hang by.
    pub(crate) resilience: Resilience,
    /// The breaker of the database.
    pub(crate) source: CircuitBreaker,
    /// What goes wrong in the store: nothing, but for `--chaos`.
    pub(crate) faults: Faults,
    shops: Vec<ShopCaches>,
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
    pub(crate) fn new(store: Kept, size: Size, lives: Lives) -> Result<Self> {
        let registry = Registry::new();
        let recorder = registry.recorder(NAME)?;
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
            observe: ObserveLayer::new(recorder.clone()),
        })?;
        if let Kept::Memory(store) = &store {
            let watched = store.clone();
            registry.watch(NAME, Tier::Store, move || watched.stats().into())?;
        }
        let view = near.clone();
        registry.watch(NAME, Tier::Near, move || view.stats().into())?;
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
        let lists = all.with_keyspace(&KeyspaceName::new("categories")?);
        let shop = |number| {
            let tenant = TenantId::new(Shop(number).to_string())?;
            Ok(ShopCaches { products: all.for_tenant(&tenant), lists: lists.for_tenant(&tenant) })
        };
        let shops = (1..=size.shops).map(shop).collect::<Result<_>>()?;
        Ok(Self { all, store, near, registry, resilience, source, faults, shops })
    }

    /// Returns a shop's part. The shop must be one of the database's.
    pub(crate) fn of(&self, shop: Shop) -> &ShopCaches {
        &self.shops[usize::from(shop.0) - 1]
    }
}
