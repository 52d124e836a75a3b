//! Metrics whose number stays bounded.

use std::collections::BTreeMap;

use memstache_core::{Get, observe::Registry};
use memstache_tenancy::{Plans, TenantMetrics};

use crate::kit::{Kit, address, for_all, plan, secs, tenant};

/// The operations that are told, by tenant.
fn operations(registry: &Registry) -> BTreeMap<String, u64> {
    let text = registry.prometheus_text();
    let of = text.lines().filter_map(|line| line.strip_prefix("memstache_tenant_operations_total{memstache_tenant=\""));
    let pair = |line: &str| {
        let (name, count) = line.split_once("\"} ").unwrap();
        (name.to_owned(), count.parse().unwrap())
    };
    of.map(pair).collect()
}

async fn ask(kit: &Kit, tenant: &str, times: usize) {
    let stack = kit.stack();
    for _ in 0..times {
        stack.dispatch(Get::one(address(tenant, "x"))).await.unwrap();
    }
}

fn told(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test]
async fn no_tenant_is_named_unless_it_is_asked_for() {
    let (kit, registry) = (Kit::new(Plans::builder().build().unwrap()), Registry::new());
    assert!(!registry.prometheus_text().contains("memstache_tenant"));
    kit.tenants.publish(&registry, TenantMetrics::default()).unwrap();
    ask(&kit, "acme", 3).await;
    ask(&kit, "", 2).await;
    assert_eq!(operations(&registry), told(&[("(other)", 5)]));
    assert!(!registry.prometheus_text().contains("acme"));
    let error = kit.tenants.publish(&registry, TenantMetrics::named().with_limit(1001)).unwrap_err();
    assert_eq!(error.to_string(), "the number of named tenants must be at most 1000, but 1001 was given");
}

#[tokio::test]
async fn the_tenants_with_the_most_traffic_are_named_and_series_do_not_flap() {
    let (kit, registry) = (Kit::new(Plans::builder().build().unwrap()), Registry::new());
    kit.tenants.publish(&registry, TenantMetrics::named().with_limit(2)).unwrap();
    for (name, times) in [("a", 30), ("b", 20), ("c", 10), ("", 5)] {
        ask(&kit, name, times).await;
    }
    assert_eq!(operations(&registry), told(&[("a", 0), ("b", 0), ("(other)", 65)]), "a series begins when it is named");
    ask(&kit, "a", 1).await;
    ask(&kit, "c", 12).await;
    assert_eq!(operations(&registry), told(&[("a", 1), ("b", 0), ("(other)", 77)]));
    kit.clock.advance(secs(10));
    assert_eq!(operations(&registry).keys().collect::<Vec<_>>(), ["(other)", "a", "b"], "c has little more than b");
    ask(&kit, "c", 30).await;
    kit.clock.advance(secs(9));
    assert!(operations(&registry).contains_key("b"), "judged every ten seconds");
    kit.clock.advance(secs(1));
    assert_eq!(operations(&registry), told(&[("a", 1), ("c", 0), ("(other)", 107)]));
    ask(&kit, "b", 4).await;
    ask(&kit, "c", 1).await;
    let now = operations(&registry);
    assert_eq!(now, told(&[("a", 1), ("c", 1), ("(other)", 111)]), "nothing counts twice, nothing is lost");
    let total: u64 = ["a", "b", "c"].iter().map(|name| kit.tenants.usage(&tenant(name)).operations).sum();
    assert_eq!(now.values().sum::<u64>(), total + 5);
}

#[tokio::test]
async fn no_series_ever_shrinks_and_their_number_is_bounded_whoever_comes() {
    no_series_shrinks(TenantMetrics::named()).await;
    // Several tenants of one name, some of whom are displaced by others of that name or of another one.
    no_series_shrinks(TenantMetrics::named().naming(|tenant| format!("group-{}", tenant.as_str().len()))).await;
}

async fn no_series_shrinks(metrics: TenantMetrics) {
    let (kit, registry) = (Kit::new(for_all(plan().operations_per_second(1000))), Registry::new());
    kit.tenants.publish(&registry, metrics.with_limit(5)).unwrap();
    let mut before = BTreeMap::new();
    for round in 0..40 {
        for n in 0..20 {
            ask(&kit, &format!("t{}", (n * round) % 50), n % 7).await;
        }
        kit.clock.advance(secs(if round % 10 == 9 { 1200 } else { 7 }));
        if round % 10 == 9 {
            kit.tenants.sweep();
        }
        let now = operations(&registry);
        assert!(now.len() <= 6, "{now:?}");
        let (told, last): (&u64, Option<&u64>) = (&now["(other)"], before.get("(other)"));
        assert!(last.is_none_or(|last| told >= last), "{before:?} {now:?}");
        for (name, count) in now.iter().filter(|(name, _)| before.contains_key(*name)) {
            assert!(*count >= before[name], "{name}: {before:?} {now:?}");
        }
        before = now;
    }
}

#[tokio::test]
async fn tenants_may_be_named_by_a_pseudonym_and_those_of_one_name_are_told_together() {
    let (kit, registry) = (Kit::new(Plans::builder().build().unwrap()), Registry::new());
    let by = TenantMetrics::named().naming(|tenant| format!("group-{}", tenant.as_str().len()));
    kit.tenants.publish(&registry, by).unwrap();
    for name in ["a", "b", "cc"] {
        ask(&kit, name, 1).await;
    }
    ask(&kit, "", 1).await;
    operations(&registry);
    for name in ["a", "b", "cc"] {
        ask(&kit, name, 1).await;
    }
    let now = operations(&registry);
    assert_eq!(now, told(&[("(other)", 4), ("(shared)", 0), ("group-1", 2), ("group-2", 1)]));
    let long = TenantMetrics::named().naming(|_| "é".repeat(100));
    kit.tenants.publish(&registry, long).unwrap();
    assert!(operations(&registry).contains_key(&"é".repeat(32)));
}
