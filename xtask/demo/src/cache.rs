//! The cache of the service: a near cache in front of a memory store, one tenant for each shop.

use std::time::Duration;

use memstache_core::{
    Cache, Json, KeyspaceName, MemoryStore, NearConfig, NearView, Result, Stack, TenantId, Tenanted,
    observe::{ObserveLayer, Registry, Tier},
};

use crate::{database::Size, place::Shop};

/// Bytes for each product that could be cached; most take a third of it.
const BYTES_PER_PRODUCT: usize = 2 * 1024;

/// Bytes that are there whatever the number of products.
const LEAST_BYTES: usize = 32 * 1024 * 1024;

/// The name of the cache in metrics.
const NAME: &str = "catalogue";

const NEAR_BYTES: usize = 8 * 1024 * 1024;

/// For how long a product may be answered stale while one caller refreshes it.
const STALE_FOR: Duration = Duration::from_secs(30);

/// For how long it is remembered that there is no such product.
pub(crate) const NEGATIVE_TTL: Duration = Duration::from_secs(30);

/// Which part of a lifetime may be taken off by chance, so that not all end at once.
pub(crate) const JITTER: f64 = 0.1;

/// The cache of the service.
#[derive(Debug)]
pub(crate) struct Caches {
    pub(crate) all: Cache<Json, Tenanted>,
    pub(crate) store: MemoryStore,
    pub(crate) near: NearView,
    /// What `/metrics` answers.
    pub(crate) registry: Registry,
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
    /// Builds the stack, large enough for every product: nothing is loaded twice for want of room.
    pub(crate) fn new(size: Size, ttl: Duration) -> Result<Self> {
        let products = usize::from(size.shops) * size.products as usize;
        let store = MemoryStore::builder().max_bytes(LEAST_BYTES + products * BYTES_PER_PRODUCT).build()?;
        let registry = Registry::new();
        let recorder = registry.recorder(NAME)?;
        let (stack, near) = Stack::over(store.clone())
            .watch_leaf()
            .near(NearConfig::new(NEAR_BYTES)?)
            .observe(ObserveLayer::new(recorder.clone()))
            .build_with_view();
        let (watched, view) = (store.clone(), near.clone());
        registry.watch(NAME, Tier::Store, move || watched.stats().into())?;
        registry.watch(NAME, Tier::Near, move || view.stats().into())?;
        let all = Cache::builder(stack)
            .keyspace("products")
            .format(Json)
            .schema("catalogue", 1)
            .ttl(ttl)
            .stale_for(STALE_FOR)
            .jitter(JITTER)
            .recorder(recorder)
            .build_tenanted()?;
        let lists = all.with_keyspace(&KeyspaceName::new("categories")?);
        let shop = |number| {
            let tenant = TenantId::new(Shop(number).to_string())?;
            Ok(ShopCaches { products: all.for_tenant(&tenant), lists: lists.for_tenant(&tenant) })
        };
        let shops = (1..=size.shops).map(shop).collect::<Result<_>>()?;
        Ok(Self { all, store, near, registry, shops })
    }

    /// Returns a shop's part. The shop must be one of the database's.
    pub(crate) fn of(&self, shop: Shop) -> &ShopCaches {
        &self.shops[usize::from(shop.0) - 1]
    }
}
