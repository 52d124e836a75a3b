//! Bytes and entries, exactly.

use memstache_core::{Cache, ErrorKind, Json, LoadContext, MemoryStore, PolicyKind, Stack};
use memstache_tenancy::{MeterTenants, OverQuota, Plan, Plans, Tenants};

use crate::kit::{Kit, for_all, kind, plan, secs, tenant};

#[tokio::test]
async fn what_is_held_is_told_exactly_and_released_when_it_goes() {
    let kit = Kit::new(Plans::builder().build().unwrap());
    let cache = kit.cache();
    let (acme, shared) = (cache.for_tenant(&tenant("acme")), cache.shared());
    for n in 0..10 {
        acme.set(format!("{n}"), &"x".repeat(100)).await.unwrap();
        shared.set(format!("{n}"), &n).await.unwrap();
    }
    let (mine, rest) = (kit.tenants.usage(&tenant("acme")), kit.tenants.shared_usage());
    assert_eq!((mine.entries, rest.entries), (10, 10));
    assert!(mine.bytes >= 10 * 100 && mine.bytes > rest.bytes);
    acme.set("0", &"y").await.unwrap();
    let smaller = kit.tenants.usage(&tenant("acme"));
    assert!(smaller.entries == 10 && smaller.bytes < mine.bytes - 90);
    assert!(acme.remove("1").await.unwrap());
    assert_eq!(kit.tenants.usage(&tenant("acme")).entries, 9);
    kit.clock.advance(secs(120));
    for n in 0..10 {
        assert_eq!(acme.get::<String>(format!("{n}")).await.unwrap(), None);
    }
    let usage = kit.tenants.usage(&tenant("acme"));
    assert_eq!((usage.entries, usage.bytes), (0, 0));
}

#[tokio::test]
async fn a_tenant_that_may_not_evict_is_refused_and_others_are_not() {
    let kit = Kit::new(for_all(plan().entries(3).over_entries(OverQuota::Refuse)));
    let cache = kit.cache();
    let (acme, other) = (cache.for_tenant(&tenant("acme")), cache.for_tenant(&tenant("other")));
    for n in 0..3 {
        acme.set(format!("{n}"), &n).await.unwrap();
    }
    let error = acme.set("3", &3).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Overloaded, false));
    assert_eq!(error.retry_after(), Some(secs(20)), "one of three that live for a minute");
    assert_eq!(error.to_string(), "the tenant holds as much as its plan allows");
    other.set("3", &3).await.unwrap();
    acme.set("0", &10).await.unwrap();
    assert_eq!(acme.get::<u32>("0").await.unwrap(), Some(10), "what is there may be replaced");
    let usage = kit.tenants.usage(&tenant("acme"));
    assert_eq!((usage.entries, usage.refused_writes), (3, 1), "only what was refused in the end counts");
    let load = |_: LoadContext<u32>| async { Ok::<_, std::io::Error>(7) };
    assert_eq!(acme.get_or_load("4", load).await.unwrap(), 7, "a value that is not stored is still answered");
    assert_eq!(kit.tenants.usage(&tenant("acme")).refused_writes, 2);
}

#[tokio::test]
async fn bytes_are_limited_too_and_never_exceeded() {
    let kit = Kit::new(for_all(plan().bytes(8192).over_bytes(OverQuota::Refuse)));
    let acme = kit.cache().for_tenant(&tenant("acme"));
    let mut refused = 0;
    for n in 0..100 {
        refused += usize::from(acme.set(format!("{n}"), &"x".repeat(500)).await.is_err());
        assert!(kit.tenants.usage(&tenant("acme")).bytes <= 8192);
    }
    assert!((80..95).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_tenant_is_cleared_at_once_by_its_handle_and_by_its_name() {
    let kit = Kit::new(Plans::builder().build().unwrap());
    let cache = kit.cache();
    let (acme, other) = (cache.for_tenant(&tenant("acme")), cache.for_tenant(&tenant("other")));
    for handle in [&acme, &other] {
        handle.set("x", &1).await.unwrap();
    }
    acme.clear_tenant().await.unwrap();
    assert_eq!(acme.get::<u32>("x").await.unwrap(), None);
    assert_eq!(kit.tenants.usage(&tenant("acme")).entries, 0, "freed when it was looked for");
    cache.clear_tenant(&tenant("other")).await.unwrap();
    assert_eq!(other.get::<u32>("x").await.unwrap(), None);
}

#[tokio::test]
async fn a_tenant_that_is_not_known_stores_nothing() {
    let kit = Kit::new(Plans::builder().allow_unknown(false).build().unwrap());
    let stranger = kit.cache().for_tenant(&tenant("stranger"));
    assert_eq!(kind(stranger.set("x", &1).await), ErrorKind::Invalid);
    // Past the layer, at the store itself.
    let cache = kit.builder(Stack::over(kit.leaf()).build()).build_tenanted().unwrap();
    assert_eq!(kind(cache.for_tenant(&tenant("stranger")).set("x", &1).await), ErrorKind::Invalid);
    assert_eq!((kit.tenants.len(), kit.store.stats().entries, kit.tenants.unknown_calls()), (0, 0, 2));
}

#[tokio::test]
async fn a_tenant_over_its_limit_evicts_its_own_and_nobody_elses() {
    let kit = Kit::new(for_all(plan().entries(20)));
    let cache = kit.cache();
    let (acme, other) = (cache.for_tenant(&tenant("acme")), cache.for_tenant(&tenant("other")));
    for n in 0..20 {
        other.set(n.to_string(), &n).await.unwrap();
    }
    for n in 0..200 {
        acme.set(n.to_string(), &n).await.unwrap();
        assert!(kit.tenants.usage(&tenant("acme")).entries <= 20);
        assert_eq!(acme.get::<u32>(n.to_string()).await.unwrap(), Some(n), "what was written last is there");
    }
    let (mine, theirs) = (kit.tenants.usage(&tenant("acme")), kit.tenants.usage(&tenant("other")));
    assert_eq!((mine.entries, mine.refused_writes, theirs.entries), (20, 0, 20));
    for n in 0..20 {
        assert_eq!(other.get::<u32>(n.to_string()).await.unwrap(), Some(n));
    }
}

#[tokio::test]
async fn what_would_not_fit_alone_or_may_not_evict_evicts_nothing() {
    let kit = Kit::new(for_all(plan().bytes(4096).entries(5).over_entries(OverQuota::Refuse)));
    let acme = kit.cache().for_tenant(&tenant("acme"));
    for n in 0..5 {
        acme.set(n.to_string(), &n).await.unwrap();
    }
    assert_eq!(kind(acme.set("big", &"x".repeat(5000)).await), ErrorKind::Overloaded, "more than its bytes");
    assert_eq!(kind(acme.set("5", &5).await), ErrorKind::Overloaded, "its entries are not to go");
    let usage = kit.tenants.usage(&tenant("acme"));
    assert_eq!((usage.entries, usage.refused_writes), (5, 2));
}

/// A small store that two tenants flood, one after the other, round by round; returns the bytes that each holds.
async fn flooded(plans: Plans, reloaded: Option<Plans>) -> (f64, f64) {
    let tenants = Tenants::new(plans);
    let store = MemoryStore::builder().max_bytes(512 << 10).shards(1).policy(|share| PolicyKind::Lru.policy(share, 7));
    let store = store.accountant(tenants.clone()).build().unwrap();
    let stack = Stack::over(store).meter(tenants.quota()).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build_tenanted().unwrap();
    let flood = async |cache: &Cache<Json, _>, from: usize| {
        for n in from..from + 3000 {
            for name in ["light", "heavy"] {
                cache.for_tenant(&tenant(name)).set(n.to_string(), &"x".repeat(200)).await.unwrap();
            }
        }
    };
    flood(&cache, 0).await;
    if let Some(plans) = reloaded {
        tenants.reload(plans);
        flood(&cache, 3000).await;
    }
    let held = |name: &str| tenants.usage(&tenant(name)).bytes as f64;
    (held("light"), held("heavy"))
}

#[tokio::test]
async fn a_full_store_is_shared_by_the_weights_of_plans_and_by_new_ones_after_a_reload() {
    let weighted = |heavy: u32| {
        let plan = |name: &str, weight| Plan::builder(name).weight(weight).build().unwrap();
        let plans = Plans::builder().plan(plan("light", 1)).plan(plan("heavy", heavy)).default_plan("light");
        plans.assign(&tenant("heavy"), "heavy").build().unwrap()
    };
    let (light, heavy) = flooded(weighted(3), None).await;
    assert!((2.5..3.5).contains(&(heavy / light)), "{light} {heavy}");
    let (light, heavy) = flooded(weighted(3), Some(weighted(1))).await;
    assert!((0.8..1.25).contains(&(heavy / light)), "{light} {heavy}");
}
