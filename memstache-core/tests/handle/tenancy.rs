//! Whose keys a handle reads and writes.

use memstache_core::{
    ErrorKind, Get, Invalidate, KeyspaceName, Remove, Request, Scope, Target, TenantId, testing::samples,
};

use crate::kit::{Kit, Source, ask, rules, settle};

pub(crate) async fn tenants_and_the_shared_space_have_keys_of_their_own(kit: Kit) {
    let tenants = kit.builder().build_tenanted().unwrap();
    let name = |name| TenantId::new(name).unwrap();
    let handles = [tenants.for_tenant(&name("a")), tenants.for_tenant(&name("b")), tenants.shared()];
    for (value, cache) in (0..).zip(&handles) {
        cache.set("key", &value).tags(["t"]).await.unwrap();
    }
    for (value, cache) in (0..).zip(&handles) {
        assert_eq!(cache.get::<u32>("key").await.unwrap(), Some(value));
    }
    handles[0].invalidate_tag("t").await.unwrap();
    assert_eq!(handles[0].get::<u32>("key").await.unwrap(), None);
    tenants.clear_tenant(&name("b")).await.unwrap();
    assert_eq!(handles[1].get::<u32>("key").await.unwrap(), None);
    assert_eq!(handles[2].get::<u32>("key").await.unwrap(), Some(2));
    assert_eq!(handles[0].space().tenant(), Some("a"));
}

pub(crate) async fn tenants_do_not_share_loads(kit: Kit) {
    let tenants = kit.builder().build_tenanted().unwrap();
    let source = Source::gated();
    let callers: Vec<_> = (0..3)
        .map(|n| ask(&tenants.for_tenant(&TenantId::new(format!("t{n}")).unwrap()), "key", source.brings(n)))
        .collect();
    settle().await;
    assert_eq!((source.loads(), tenants.loads_in_flight()), (3, 3));
    source.gate.open();
    for (n, caller) in (0..).zip(callers) {
        assert_eq!(caller.await.unwrap().unwrap(), n);
    }
    assert_eq!(tenants.stats().misses, 3, "one count for all tenants");
}

pub(crate) async fn a_cleared_tenant_is_cleared_in_all_its_keyspaces(kit: Kit) {
    let (tenants, acme) = (kit.builder().build_tenanted().unwrap(), TenantId::new("acme").unwrap());
    let here = tenants.for_tenant(&acme);
    let there = here.with_keyspace(&KeyspaceName::new("other").unwrap());
    here.set("key", &1).await.unwrap();
    assert_eq!(there.get::<u32>("key").await.unwrap(), None);
    there.set("key", &2).await.unwrap();
    here.clear().await.unwrap();
    assert_eq!(there.get::<u32>("key").await.unwrap(), Some(2), "clear is for one keyspace");
    tenants.with_keyspace(&KeyspaceName::new("third").unwrap()).clear_tenant(&acme).await.unwrap();
    assert_eq!(there.get::<u32>("key").await.unwrap(), None);
    there.set("key", &3).await.unwrap();
    here.clear_tenant().await.unwrap();
    assert_eq!(there.get::<u32>("key").await.unwrap(), None, "by the tenant's own handle");
    let error = tenants.shared().clear_tenant().await.unwrap_err();
    assert_eq!(error.to_string(), "the handle must be of a tenant, but one of the shared space was given");
}

pub(crate) async fn a_tenants_handle_runs_nothing_for_others(kit: Kit) {
    let name = |name| TenantId::new(name).unwrap();
    let tenants = kit.builder().build_tenanted().unwrap();
    let (a, b, shared) = (tenants.for_tenant(&name("a")), tenants.for_tenant(&name("b")), tenants.shared());
    for cache in [&a, &b, &shared] {
        cache.set("key", &1).tags(["t"]).await.unwrap();
    }
    let other_space = a.with_keyspace(&KeyspaceName::new("other").unwrap());
    assert!(a.run(Get::one(other_space.address("key").unwrap())).await.is_ok(), "its own, in whatever keyspace");
    for (cache, foreign) in [(&a, &b), (&a, &shared), (&shared, &a)] {
        let (own, theirs) = (cache.address("key").unwrap(), foreign.address("key").unwrap());
        for request in samples(&theirs, "9") {
            let kind = match request {
                Request::Get(op) => cache.run(op).await.map(drop),
                Request::Set(op) => cache.run(op).await.map(drop),
                Request::Remove(op) => cache.run(op).await.map(drop),
                Request::Touch(op) => cache.run(op).await.map(drop),
                Request::Invalidate(op) => cache.run(op).await.map(drop),
                Request::Explain(op) => cache.run(op).await.map(drop),
                other => panic!("{} has no line here", other.name()),
            };
            let error = kind.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let text = "every item must be of the handle's own tenant, but one of another was given";
            assert_eq!(error.to_string(), text);
        }
        // One among many, and nothing is done.
        let items = [own, theirs].into_iter().collect();
        assert!(cache.run(Remove { items, scope: Scope::default() }).await.is_err());
        assert!(cache.run(Invalidate::one(Target::Tenant(name("b")))).await.is_err());
    }
    for cache in [&a, &b, &shared] {
        assert_eq!(cache.get::<u8>("key").await.unwrap(), Some(1));
    }
    // An operator's handle is for all.
    let items = [&a, &b, &shared].map(|cache| cache.address("key").unwrap()).into_iter().collect();
    let removed = tenants.run(Remove { items, scope: Scope::default() }).await.unwrap();
    assert!(removed.iter().all(|removed| matches!(removed, Ok(true))));
}

rules! {
    every stack:
    tenants_and_the_shared_space_have_keys_of_their_own,
    tenants_do_not_share_loads,
    a_cleared_tenant_is_cleared_in_all_its_keyspaces,
    a_tenants_handle_runs_nothing_for_others,
}
