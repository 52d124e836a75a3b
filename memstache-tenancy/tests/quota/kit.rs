//! A memory store with a near cache and quotas, whose time is turned by hand.

use std::{fmt, time::Duration};

use memstache_core::{
    Address, Cache, CacheBuilder, ErasedService, ErrorKind, Json, KeyspaceName, MemoryStore, NearConfig, Result, Space,
    Stack, TenantId, Tenanted,
    testing::{Faults, Faulty, ManualClock, Recorder, Recording},
};
use memstache_tenancy::{MeterTenants, Plan, PlanBuilder, Plans, Tenants};
use tower::Layer;

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn address(tenant: &str, name: &str) -> Address {
    let tenant = (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap());
    Address::plain(&Space::new(tenant.as_ref(), &KeyspaceName::new("k").unwrap()), name).unwrap()
}

pub(crate) fn kind<T: fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("it was to fail").kind()
}

/// Lets every task run until nothing moves.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Everybody has this plan.
pub(crate) fn for_all(plan: PlanBuilder) -> Plans {
    let plan: Plan = plan.build().unwrap();
    let name = plan.name().to_owned();
    Plans::builder().plan(plan).default_plan(name).build().unwrap()
}

pub(crate) fn plan() -> PlanBuilder {
    Plan::builder("plan")
}

pub(crate) type Leaf = Recording<Faulty<MemoryStore>>;

pub(crate) struct Kit {
    pub(crate) clock: ManualClock,
    pub(crate) tenants: Tenants,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
    pub(crate) store: MemoryStore,
}

impl Kit {
    pub(crate) fn new(plans: Plans) -> Self {
        let clock = ManualClock::new();
        let tenants = Tenants::builder(plans).clock(clock.clone()).build().unwrap();
        let store = MemoryStore::builder().max_bytes(8 << 20).clock(clock.clone());
        let store = store.accountant(tenants.clone()).build().unwrap();
        Self { clock, tenants, faults: Faults::new(), recorder: Recorder::new(), store }
    }

    pub(crate) fn leaf(&self) -> Leaf {
        self.recorder.layer(self.faults.layer(self.store.clone()))
    }

    pub(crate) fn stack(&self) -> ErasedService {
        Stack::over(self.leaf()).meter(self.tenants.quota()).build()
    }

    pub(crate) fn near_stack(&self) -> ErasedService {
        let near = NearConfig::new(1 << 20).unwrap().with_clock(self.clock.clone());
        Stack::over(self.leaf()).near(near).meter(self.tenants.quota()).build()
    }

    pub(crate) fn builder(&self, stack: ErasedService) -> CacheBuilder<Json> {
        Cache::builder(stack).keyspace("k").format(Json).clock(self.clock.clone()).random(|| 0.5).ttl(secs(60))
    }

    pub(crate) fn cache(&self) -> Cache<Json, Tenanted> {
        self.builder(self.stack()).build_tenanted().unwrap()
    }

    pub(crate) fn near_cache(&self) -> Cache<Json, Tenanted> {
        self.builder(self.near_stack()).stale_for(secs(600)).build_tenanted().unwrap()
    }
}
