//! The registry of tenants.

use std::sync::Arc;

use memstache_core::{Condition, ErrorKind, Get, MemoryStore, Stack, testing::ManualClock};
use memstache_tenancy::{MeterTenants, Plan, PlanBuilder, Plans, Quota, QuotaLayer, TenantMetrics, Tenants, Usage};

use crate::kit::{Kit, address, for_all, kind, plan, secs, tenant};

#[test]
fn public_types_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Plan>();
    shared::<PlanBuilder>();
    shared::<Plans>();
    shared::<Tenants>();
    shared::<TenantMetrics>();
    shared::<Usage>();
    shared::<QuotaLayer>();
    shared::<Quota<MemoryStore>>();
}

#[tokio::test]
async fn those_who_do_the_most_are_told_first() {
    let kit = Kit::new(Plans::builder().build().unwrap());
    let cache = kit.cache();
    for (name, times) in [("few", 1), ("many", 5), ("some", 3)] {
        for _ in 0..times {
            cache.for_tenant(&tenant(name)).get::<u32>("x").await.unwrap();
        }
    }
    let names = |most| kit.tenants.top(most).into_iter().map(|(id, usage)| (id.as_str().to_owned(), usage.operations));
    assert_eq!(names(2).collect::<Vec<_>>(), [("many".to_owned(), 5), ("some".to_owned(), 3)]);
    assert_eq!((names(0).count(), names(100).count()), (0, 3));
    assert_eq!(kit.tenants.usage(&tenant("nobody")).operations, 0);
    assert_eq!(cache.health().condition, Condition::Healthy);
    assert_eq!(
        cache.health().part("tenants").unwrap().to_string(),
        "tenants: healthy (known 3, unknown_calls 0, bytes 0)"
    );
    assert!(!format!("{:?}", kit.tenants).contains("many"));
}

#[tokio::test]
async fn who_holds_something_waits_for_its_burst_or_was_here_lately_is_not_forgotten() {
    let kit = Kit::new(for_all(plan().operations_per_second(1).burst(3600)));
    let cache = kit.cache();
    let of = |name: &str| cache.for_tenant(&tenant(name));
    of("holds").set("x", &1).ttl(secs(36_000)).await.unwrap();
    of("gone").get::<u32>("x").await.unwrap();
    of("spent").get_many::<u32>((0..2000).map(|n| n.to_string())).await.unwrap();
    kit.clock.advance(secs(599));
    assert_eq!(kit.tenants.sweep(), 0);
    of("late").get::<u32>("x").await.unwrap();
    kit.clock.advance(secs(1));
    assert_eq!((kit.tenants.sweep(), kit.tenants.len()), (1, 3));
    assert_eq!(kit.tenants.usage(&tenant("gone")).operations, 0);
    assert_eq!(kit.tenants.usage(&tenant("spent")).operations, 2000);
    kit.clock.advance(secs(1400));
    assert_eq!((kit.tenants.sweep(), kit.tenants.len()), (2, 1));
    assert_eq!(kit.tenants.usage(&tenant("holds")).entries, 1);
}

#[tokio::test]
async fn there_is_room_for_so_many_tenants_until_some_are_idle() {
    let clock = ManualClock::new();
    let tenants = Tenants::builder(Plans::builder().build().unwrap()).clock(clock.clone()).max_tenants(100);
    let tenants = tenants.idle_after(secs(60)).build().unwrap();
    let stack =
        Stack::over(MemoryStore::builder().clock(clock.clone()).build().unwrap()).meter(tenants.quota()).build();
    let ask = |n: usize| stack.dispatch(Get::one(address(&format!("t{n}"), "x")));
    for n in 0..100 {
        ask(n).await.unwrap();
    }
    let error = ask(100).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Overloaded, Some(secs(1))));
    assert!(ask(7).await.is_ok(), "those who are there are");
    clock.advance(secs(61));
    for n in 200..264 {
        ask(n).await.unwrap_or_else(|error| panic!("{n}: {error}, though all others are idle"));
    }
    assert!((2..=100).contains(&tenants.len()), "whoever comes makes room: {}", tenants.len());
    assert!(ask(300).await.is_ok());
}

#[tokio::test]
async fn a_clone_is_the_same_registry() {
    let kit = Kit::new(for_all(plan().operations_per_second(1)));
    let other = Arc::new(kit.tenants.clone());
    let acme = kit.cache().for_tenant(&tenant("acme"));
    acme.get::<u32>("x").await.unwrap();
    assert_eq!(kind(acme.get::<u32>("x").await), ErrorKind::Overloaded);
    assert_eq!(other.usage(&tenant("acme")).refused_operations, 1);
    assert_eq!(other.plans().of(&tenant("acme")).unwrap().name(), "plan");
}
