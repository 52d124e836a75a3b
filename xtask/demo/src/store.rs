//! Where the cache keeps what its near tier does not: in memory, or in Redis.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use memstache_core::{
    CacheService, Coherence, ErasedService, Health, MemoryStore, NearConfig, NearView, PartHealth, Stack, StoreService,
    observe::{CacheMetrics, ObserveLayer},
    resilience::{Resilience, ResilienceConfig},
    testing::{Faults, Faulty},
};
use memstache_crypto::Seal;
use memstache_redis::RedisStore;
use memstache_tenancy::{MeterTenants as _, QuotaLayer, SamplingTask, Tenants};

use crate::database::Size;

/// Bytes for each product that could be cached; most take a third of it.
pub(crate) const BYTES_PER_PRODUCT: usize = 2 * 1024;

/// Bytes that are there whatever the number of products.
pub(crate) const LEAST_BYTES: usize = 32 * 1024 * 1024;

pub(crate) const NEAR_BYTES: usize = 8 * 1024 * 1024;

/// How long a server may take to be there.
const READY: Duration = Duration::from_secs(10);
/// How long it may take to answer a read, on a machine that also makes the load.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often shops are sampled that hold something in Redis.
const SAMPLED_EVERY: Duration = Duration::from_secs(10);

/// A store of either kind.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Memory(MemoryStore),
    Redis(RedisStore),
}

impl Kept {
    /// In memory, with room for every product: nothing is loaded twice for want of room. It keeps account of each shop.
    pub(crate) fn in_memory(size: Size, tenants: &Tenants) -> Result<Self> {
        let products = usize::from(size.shops) * size.products as usize;
        let store = MemoryStore::builder().max_bytes(LEAST_BYTES + products * BYTES_PER_PRODUCT);
        let store = store.accountant(tenants.clone()).build()?;
        Ok(Self::Memory(store))
    }

    /// In Redis, under names that no other run has: what is left of those is another database's. It keeps no
    /// account: what a shop holds is estimated.
    pub(crate) async fn in_redis(url: &str) -> Result<Self> {
        let builder = RedisStore::builder(url)?.prefix(&format!("demo-{:x}:", fastrand::u64(..)));
        let store = builder.read_timeout(PATIENCE).connect(READY).await.context("--redis")?;
        Ok(Self::Redis(store))
    }

    /// What keeps calls on it from hanging: Redis has its own retries, breakers and timeouts, one for each server.
    pub(crate) fn resilience(&self) -> Result<Resilience> {
        let all = ResilienceConfig::default();
        let config = match self {
            Self::Memory(_) => all,
            Self::Redis(_) => ResilienceConfig { retry: None, breaker: None, timeout: None, ..all },
        };
        Ok(Resilience::new(config)?)
    }

    /// Bytes held in this process, and the most that may be.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        match self {
            Self::Memory(store) => (store.stats().bytes, store.stats().max_bytes),
            Self::Redis(_) => (0, 0),
        }
    }

    /// What holds tenants to their plans: bytes are counted exactly in memory, and estimated over Redis.
    pub(crate) fn quota(&self, tenants: &Tenants) -> QuotaLayer {
        match self {
            Self::Memory(_) => tenants.quota(),
            Self::Redis(_) => tenants.quota().estimating(),
        }
    }

    /// Has samples put right, in the background, what is thought of a store that keeps no account.
    pub(crate) fn sampling(&self, tenants: &Tenants) -> Result<Option<SamplingTask>> {
        match self {
            Self::Memory(_) => Ok(None),
            Self::Redis(store) => Ok(Some(tenants.sample_every(SAMPLED_EVERY, store.clone())?)),
        }
    }

    /// Puts the stack over it.
    pub(crate) fn stack(&self, parts: Parts) -> Result<(ErasedService, NearView)> {
        match self {
            Self::Memory(store) => parts.over(store.clone()),
            Self::Redis(store) => parts.over(StoreService::new(store.clone())),
        }
    }
}

/// What stands above the store.
pub(crate) struct Parts {
    pub(crate) faults: Faults,
    pub(crate) resilience: Resilience,
    /// How the source is.
    pub(crate) source: Box<dyn Fn() -> PartHealth + Send + Sync>,
    pub(crate) seal: Seal,
    pub(crate) quota: QuotaLayer,
    pub(crate) observe: ObserveLayer<Arc<CacheMetrics>>,
}

impl Parts {
    fn over<S>(self, store: S) -> Result<(ErasedService, NearView)>
    where
        S: CacheService + Coherence + Health,
    {
        let built = Stack::over(Faulty::new(store.clone(), self.faults))
            .watch(store)
            .resilient(&self.resilience)
            .seal(self.seal)
            .watch(self.source)
            .near(NearConfig::new(NEAR_BYTES)?)
            .meter(self.quota)
            .observe(self.observe)
            .build_with_view();
        Ok(built)
    }
}
