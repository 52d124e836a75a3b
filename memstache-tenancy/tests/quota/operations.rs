//! Operations a second.

use memstache_core::{
    ErrorKind, Explain, Get, Invalidate, LeaseId, Lifetime, NewEntry, OneOrMany, Remove, Request, Scope, Set, SetItem,
    Target, Touch, TouchKind, When,
};
use memstache_tenancy::Plans;

use crate::kit::{Kit, address, for_all, kind, millis, plan, secs, tenant};

#[tokio::test]
async fn who_is_over_is_refused_told_when_to_come_back_and_served_then() {
    let kit = Kit::new(for_all(plan().operations_per_second(10).burst(5)));
    let cache = kit.cache();
    let acme = cache.for_tenant(&tenant("acme"));
    for n in 0..5 {
        acme.set(format!("{n}"), &n).await.unwrap();
    }
    kit.recorder.clear();
    let error = acme.get::<u32>("0").await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Overloaded, Some(millis(100))));
    assert!(!format!("{error:?} {error}").contains("acme"));
    kit.recorder.assert_quiet();
    assert_eq!(cache.for_tenant(&tenant("other")).get::<u32>("0").await.unwrap(), None, "others do not notice");

    kit.clock.advance(millis(99));
    assert_eq!(kind(acme.get::<u32>("0").await), ErrorKind::Overloaded);
    kit.clock.advance(millis(1));
    assert_eq!(acme.get::<u32>("0").await.unwrap(), Some(0));
    let usage = kit.tenants.usage(&tenant("acme"));
    assert_eq!((usage.operations, usage.refused_operations, usage.entries), (6, 2, 5));
}

#[tokio::test]
async fn each_key_of_a_batch_counts_and_a_batch_beyond_the_burst_is_invalid() {
    let kit = Kit::new(for_all(plan().operations_per_second(10)));
    let acme = kit.cache().for_tenant(&tenant("acme"));
    let names: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let error = acme.get_many::<u32>(&names).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the number of items of a call must be at most the burst of the tenant's plan (10), but 11 was given"
    );
    assert!(acme.get_many::<u32>(&names[..8]).await.is_ok());
    let error = acme.get_many::<u32>(&names[..5]).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Overloaded, Some(millis(300))));
    assert_eq!(acme.get_many::<u32>(Vec::<String>::new()).await.unwrap().len(), 0, "an empty batch costs nothing");
    assert_eq!(kit.tenants.usage(&tenant("acme")).operations, 8);
}

#[tokio::test]
async fn every_operation_is_metered_and_what_belongs_to_a_load_is_not() {
    let kit = Kit::new(for_all(plan().operations_per_second(1)));
    let stack = kit.stack();
    let here = || address("acme", "x");
    let entry = || NewEntry::new("value", Lifetime::default());
    let used_up = stack.dispatch(Get::one(here())).await;
    assert!(used_up.is_ok());
    let refused: [Request; 7] = [
        Get::one(here()).into(),
        Set::one(here(), entry()).into(),
        Remove::one(here()).into(),
        Touch::one(here(), TouchKind::Probe).into(),
        Touch::one(here(), TouchKind::Slide).into(),
        Invalidate::one(Target::Tenant(tenant("acme"))).into(),
        Explain::one(here()).into(),
    ];
    for request in refused {
        let name = request.name();
        assert_eq!(kind(stack.dispatch(request).await), ErrorKind::Overloaded, "{name}");
    }
    let fill = SetItem { address: here(), entry: entry(), when: When::IfLease(LeaseId(7)) };
    let free: [Request; 3] = [
        Set { items: OneOrMany::One(fill), scope: Scope::default() }.into(),
        Touch::one(here(), TouchKind::Renew(LeaseId(7))).into(),
        Touch::one(here(), TouchKind::Release(LeaseId(7))).into(),
    ];
    for request in free {
        assert!(stack.dispatch(request).await.is_ok());
    }
    let usage = kit.tenants.usage(&tenant("acme"));
    assert_eq!((usage.operations, usage.refused_operations), (1, 7));
}

#[tokio::test]
async fn a_call_for_several_tenants_is_refused_if_one_of_them_is_over() {
    let kit = Kit::new(for_all(plan().operations_per_second(2)));
    let stack = kit.stack();
    let both = |names: &[(&str, &str)]| {
        let items = names.iter().map(|(tenant, name)| address(tenant, name)).collect();
        stack.dispatch(Remove { items, scope: Scope::default() })
    };
    assert!(both(&[("a", "x"), ("b", "x"), ("b", "y")]).await.is_ok());
    kit.recorder.clear();
    assert_eq!(kind(both(&[("a", "x"), ("b", "x")]).await), ErrorKind::Overloaded);
    kit.recorder.assert_quiet();
    let of = |name| kit.tenants.usage(&tenant(name));
    assert_eq!((of("a").operations, of("a").refused_operations), (2, 1));
    assert_eq!((of("b").operations, of("b").refused_operations), (2, 1));
}

#[tokio::test]
async fn a_clock_that_jumps_gives_one_burst_and_no_more() {
    for jump in [secs(3600), secs(400 * 24 * 3600), secs(60 * 365 * 24 * 3600)] {
        let kit = Kit::new(for_all(plan().operations_per_second(10).burst(5)));
        let acme = kit.cache().for_tenant(&tenant("acme"));
        let lets_through = async || {
            let mut through = 0;
            while acme.get::<u32>("a").await.is_ok() {
                through += 1;
            }
            through
        };
        assert_eq!(lets_through().await, 5);
        kit.clock.advance(jump);
        assert_eq!(lets_through().await, 5, "{jump:?}");
        assert!(acme.get::<u32>("a").await.unwrap_err().retry_after().is_some_and(|wait| wait <= secs(1)));
        kit.clock.advance(jump);
        assert_eq!(kit.tenants.sweep(), 1, "and who did nothing for so long is forgotten");
    }
}

#[tokio::test]
async fn the_shared_space_has_a_plan_of_its_own_or_none() {
    let free = Kit::new(for_all(plan().operations_per_second(1)));
    let shared = free.cache().shared();
    for _ in 0..10 {
        shared.get::<u32>("x").await.unwrap();
    }
    assert_eq!(free.tenants.shared_usage().operations, 10);
    let small = plan().operations_per_second(1).build().unwrap();
    let kit = Kit::new(Plans::builder().plan(small).shared_plan("plan").build().unwrap());
    let cache = kit.cache();
    cache.shared().get::<u32>("x").await.unwrap();
    assert_eq!(kind(cache.shared().get::<u32>("x").await), ErrorKind::Overloaded);
    for _ in 0..10 {
        cache.for_tenant(&tenant("acme")).get::<u32>("x").await.unwrap();
    }
    assert_eq!(kit.tenants.shared_usage().refused_operations, 1);
    assert_eq!(kit.tenants.shared_usage().plan.unwrap().name(), "plan");
}

#[tokio::test]
async fn near_hits_through_the_handle_cost_nothing() {
    let kit = Kit::new(for_all(plan().operations_per_second(2)));
    let acme = kit.near_cache().for_tenant(&tenant("acme"));
    acme.set("a", &1).await.unwrap();
    for _ in 0..50 {
        assert_eq!(acme.get::<u32>("a").await.unwrap(), Some(1));
    }
    assert_eq!(kit.tenants.usage(&tenant("acme")).operations, 2, "the write, and the read that fetched the copy");
}
