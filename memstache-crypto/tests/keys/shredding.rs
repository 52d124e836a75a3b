//! A tenant that must be forgotten.

use std::sync::Arc;

use bytes::Bytes;
use memstache_core::{
    Cache, Clock as _, ErasedService, Error, ErrorKind, Expected, Json, MemoryStore, NearConfig, RecordStore, Stack,
    TenantId, TenantKeys,
    testing::{Fault, Faults, NaiveStore},
};
use memstache_crypto::{DataKeys, KeyFailure, KeyManagement, KeyOwner, KeyState, Shredder};
use tower::Layer as _;

use crate::kit::{DAY, World, opening, sealing, space};

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

#[tokio::test]
async fn a_shredded_tenants_values_open_nowhere_and_the_others_stay() {
    let world = World::new();
    let builder = || world.builder().with_blind_names();
    let (one, other) = (builder().open().await.unwrap(), builder().open().await.unwrap());
    let (gone, stays) = (space("acme", "products"), space("globex", "products"));
    for node in [&one, &other] {
        node.prepare(&gone).await.unwrap();
        node.prepare(&stays).await.unwrap();
    }
    let rotated = one.rotate_derived(&KeyOwner::tenant(acme())).await.unwrap().id();
    let (bad, good) = (sealing(&one, &gone).await.unwrap(), sealing(&one, &stays).await.unwrap());
    let name = one.naming(&gone).unwrap().id();
    let task = other.run();
    tokio::task::yield_now().await;

    let receipt = Shredder::new(one.clone()).shred(&acme()).await.unwrap();
    let mut keys = receipt.keys.clone();
    keys.sort_unstable();
    let mut expected = [bad, rotated, name].map(|id| *id.as_bytes());
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!((receipt.records, receipt.at, receipt.effective_within), (2, world.clock.wall(), DAY));

    assert_eq!(opening(&one, &gone, bad).await, Err(KeyFailure::Revoked));
    while opening(&other, &gone, bad).await != Err(KeyFailure::Revoked) {
        tokio::task::yield_now().await;
    }
    drop(task);
    assert!(one.naming(&gone).is_none());
    for node in [&one, &other, &world.node().await] {
        assert_eq!(opening(node, &gone, bad).await, Err(KeyFailure::Revoked));
        assert_eq!(opening(node, &stays, good).await, Ok(good));
    }
    let states = one.status(&KeyOwner::tenant(acme())).await.unwrap();
    assert!(states.iter().all(|key| key.state() == KeyState::Revoked));

    let again = Shredder::new(one.clone()).shred(&acme()).await.unwrap();
    assert_eq!((again.keys.len(), again.records), (0, 2), "again is harmless");
    let fresh = sealing(&one, &gone).await.unwrap();
    assert!(fresh != bad && fresh != rotated, "what comes later has new keys");
}

#[tokio::test]
async fn a_tenant_without_keys_gets_a_receipt_of_none_and_a_damaged_record_goes_as_it_is() {
    let world = World::new();
    let node = world.node().await;
    let shredder = Shredder::new(node.clone());
    let receipt = shredder.shred(&acme()).await.unwrap();
    assert_eq!((receipt.keys.len(), receipt.records), (0, 0));

    let space = space("acme", "products");
    sealing(&node, &space).await.unwrap();
    let place = world.keys().await.into_iter().find(|key| key.as_str().ends_with("/data/default")).unwrap();
    world.records.put(&place, Bytes::from_static(b"damaged"), Expected::Any).await.unwrap();
    let receipt = shredder.shred(&acme()).await.unwrap();
    assert_eq!((receipt.keys.len(), receipt.records), (0, 1));
    assert_eq!(world.records.get(&place).await.unwrap(), None);
}

#[tokio::test]
async fn what_near_caches_hold_in_the_open_goes_too() {
    let world = World::new();
    let node = world.node().await;
    let store = MemoryStore::builder().build().unwrap();
    let stack = || Stack::over(store.clone()).near(NearConfig::new(1 << 20).unwrap()).build();
    let (one, other) = (stack(), stack());
    let cache = |stack: &ErasedService| {
        Cache::builder(stack.clone()).keyspace("products").format(Json).build_tenanted().unwrap()
    };
    let (first, second) = (cache(&one), cache(&other));
    first.for_tenant(&acme()).set("tea", &7).await.unwrap();
    assert_eq!(second.for_tenant(&acme()).get::<i32>("tea").await.unwrap(), Some(7));
    sealing(&node, &space("acme", "products")).await.unwrap();

    let broken = {
        let faults = Faults::new();
        faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "gone")));
        ErasedService::new(faults.layer(NaiveStore::new(world.clock.clone()).service()))
    };
    let shredder = Shredder::new(node).with_stack(one).with_stack(broken);
    let receipt = shredder.shred(&acme()).await.unwrap();
    assert_eq!((receipt.keys.len(), receipt.cleared, receipt.not_cleared), (1, 1, 1));
    while second.for_tenant(&acme()).get::<i32>("tea").await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    assert!(first.for_tenant(&acme()).get::<i32>("tea").await.unwrap().is_none());
    let shredder: Arc<dyn TenantKeys> = Arc::new(shredder);
    assert!(!format!("{shredder:?}").contains("acme"));
}
