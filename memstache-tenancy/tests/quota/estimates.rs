//! What is thought to be held in stores that keep no account.

use memstache_core::{
    BoxFuture, Cache, Error, ErrorKind, Json, MemoryStore, Result, SampledUse, Stack, TenantId, Tenanted, UsageSampler,
    testing::ManualClock,
};
use memstache_tenancy::{MeterTenants, Plans, Tenants};

use crate::kit::{for_all, kind, plan, secs, tenant};

/// A store without an accountant.
pub(crate) fn setup(plans: Plans) -> (ManualClock, Tenants, Cache<Json, Tenanted>) {
    let clock = ManualClock::new();
    let tenants = Tenants::builder(plans).clock(clock.clone()).build().unwrap();
    let store = MemoryStore::builder().max_bytes(8 << 20).clock(clock.clone()).build().unwrap();
    let stack = Stack::over(store).meter(tenants.quota().estimating()).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).clock(clock.clone()).ttl(secs(100));
    (clock, tenants, cache.build_tenanted().unwrap())
}

#[tokio::test]
async fn writes_removals_and_clears_are_followed_and_expiry_fades() {
    let (clock, tenants, cache) = setup(Plans::builder().build().unwrap());
    let acme = cache.for_tenant(&tenant("acme"));
    let entries = || tenants.usage(&tenant("acme")).entries;
    for n in 0..50 {
        acme.set(format!("{n}"), &n).await.unwrap();
    }
    assert_eq!(entries(), 50);
    assert!(tenants.usage(&tenant("acme")).bytes > 50 * 96);
    for n in 0..10 {
        assert!(acme.remove(format!("{n}")).await.unwrap());
    }
    assert!(!acme.remove("none").await.unwrap());
    assert_eq!(entries(), 40);
    clock.advance(secs(100));
    assert_eq!(entries(), 15, "37 % are still told of what has just expired");
    clock.advance(secs(500));
    assert_eq!((entries(), tenants.usage(&tenant("acme")).bytes), (0, 0));
    acme.set("x", &1).await.unwrap();
    acme.clear_tenant().await.unwrap();
    assert_eq!(entries(), 0);
}

#[tokio::test]
async fn writes_over_the_limit_are_refused_and_the_wait_that_is_told_suffices() {
    let (clock, tenants, cache) = setup(for_all(plan().entries(10)));
    let acme = cache.for_tenant(&tenant("acme"));
    for n in 0..10 {
        acme.set(format!("{n}"), &n).await.unwrap();
    }
    let error = acme.set("10", &10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    let wait = error.retry_after().unwrap();
    assert!(wait > secs(5) && wait < secs(20), "{wait:?}");
    assert_eq!(tenants.usage(&tenant("acme")).refused_writes, 1);
    clock.advance(wait);
    acme.set("10", &10).await.unwrap();
    cache.for_tenant(&tenant("other")).set("10", &10).await.unwrap();
}

/// Tells what it was given.
#[derive(Debug)]
struct Told(Result<SampledUse>);

impl UsageSampler for Told {
    fn sample<'a>(&'a self, _: &'a TenantId) -> BoxFuture<'a, Result<SampledUse>> {
        Box::pin(async { self.0.clone() })
    }
}

#[tokio::test]
async fn a_sample_puts_the_estimate_right_and_a_failed_one_leaves_it() {
    let (_clock, tenants, cache) = setup(Plans::builder().build().unwrap());
    let acme = cache.for_tenant(&tenant("acme"));
    for _ in 0..5 {
        acme.set("same", &1).await.unwrap();
    }
    assert_eq!(tenants.usage(&tenant("acme")).entries, 5, "overwritten ones count as often as they were written");
    let gone = Told(Err(Error::new(ErrorKind::Unavailable, "gone")));
    assert_eq!(kind(tenants.sample(&gone, &tenant("acme")).await), ErrorKind::Unavailable);
    assert_eq!(tenants.usage(&tenant("acme")).entries, 5);
    tenants.sample(&Told(Ok(SampledUse::new(120, 1))), &tenant("acme")).await.unwrap();
    let usage = tenants.usage(&tenant("acme"));
    assert_eq!((usage.entries, usage.bytes), (1, 120));
}
