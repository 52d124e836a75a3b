//! Whose keys a handle reads and writes.

use memstache_core::{KeyspaceName, TenantId};

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

rules! {
    every stack:
    tenants_and_the_shared_space_have_keys_of_their_own,
    tenants_do_not_share_loads,
    a_cleared_tenant_is_cleared_in_all_its_keyspaces,
}
