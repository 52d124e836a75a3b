//! A tenant that must be forgotten.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use memstache_core::{
    BoxFuture, Cache, Clock as _, ErasedService, Error, ErrorKind, Expected, Json, MemoryStore, NearConfig, Record,
    RecordKey, RecordPrefix, RecordStore, RecordStream, Stack, TenantId, TenantKeys,
    testing::{Fault, Faults, NaiveStore},
};
use memstache_crypto::{DataKeys, KeyFailure, KeyManagement, KeyOwner, KeyState, Shredder};
use tower::Layer as _;

use crate::kit::{DAY, MINUTE, World, is_ready, opening, sealing, space, yield_often};

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
    assert_eq!((receipt.records, receipt.at, receipt.lines), (2, world.clock.wall(), 2));
    assert_eq!(receipt.confirmed, [one.node().unwrap(), other.node().unwrap()], "who runs has confirmed");
    assert!(receipt.is_complete() && receipt.effective_within.is_zero());
    for node in [&one, &other] {
        assert_eq!(opening(node, &gone, bad).await, Err(KeyFailure::Revoked), "and nothing has to be waited for");
    }

    drop(task);
    assert!(one.naming(&gone).is_none());
    for node in [&one, &other, &world.node().await] {
        assert_eq!(opening(node, &gone, bad).await, Err(KeyFailure::Revoked));
        assert_eq!(opening(node, &stays, good).await, Ok(good));
    }
    let states = one.status(&KeyOwner::tenant(acme())).await.unwrap();
    assert!(states.iter().all(|key| key.state() == KeyState::Revoked));

    let again = Shredder::new(one.clone()).with_wait(Duration::ZERO).shred(&acme()).await.unwrap();
    assert_eq!((again.keys.len(), again.records), (0, 2), "again is harmless");
    assert_eq!((again.confirmed.len(), again.unconfirmed.len()), (1, 2), "nobody runs any more");
    assert_eq!(again.effective_within, DAY);
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

#[tokio::test]
async fn who_does_not_answer_in_time_is_named_and_follows_by_its_next_refresh() {
    let world = World::new();
    let (one, silent, gone) =
        (world.node().await, world.builder().with_node("pod-7").open().await.unwrap(), world.node().await);
    let space = space("acme", "products");
    let id = sealing(&one, &space).await.unwrap();
    for node in [&silent, &gone] {
        opening(node, &space, id).await.unwrap();
    }
    gone.leave().await.unwrap();
    assert_eq!(gone.stats().lines, 0, "who leaves lets go of everything");
    let shredder = Shredder::new(one.clone()).with_wait(Duration::from_secs(5));
    let shredding = tokio::spawn(async move { shredder.shred(&acme()).await });
    yield_often().await;
    assert!(!shredding.is_finished());
    world.clock.advance(Duration::from_secs(5));
    let receipt = shredding.await.unwrap().unwrap();
    assert_eq!(receipt.confirmed, [one.node().unwrap()]);
    assert_eq!(receipt.unconfirmed, [silent.node().unwrap()], "neither who left nor who asks");
    assert!(receipt.unconfirmed[0].starts_with("pod-7.") && !receipt.is_complete());
    assert_eq!(receipt.effective_within, DAY, "until then it can use what it holds");
    assert!(is_ready(&silent.opening(&space, id)), "which is what the receipt says");

    world.clock.advance(5 * MINUTE);
    silent.refresh().await.unwrap();
    assert_eq!(opening(&silent, &space, id).await, Err(KeyFailure::Revoked));
    let again = Shredder::new(one.clone());
    let again = tokio::spawn(async move { again.shred(&acme()).await });
    yield_often().await;
    silent.refresh().await.unwrap();
    let receipt = again.await.unwrap().unwrap();
    assert_eq!(receipt.confirmed.len(), 2, "who refreshes confirms, too");
    assert_eq!(left_over(&world).await, 2, "the first order, and the answer that came late");
    // Who left begins anew.
    gone.refresh().await.unwrap();
    assert_eq!(opening(&gone, &space, id).await, Err(KeyFailure::Revoked));
    world.pass(DAY + 20 * MINUTE, &[&one, &silent]).await;
    assert_eq!(left_over(&world).await, 0, "swept away when nobody can have to follow it");
}

/// How many records of orders and answers there are.
async fn left_over(world: &World) -> usize {
    let all = world.records.list(&RecordPrefix::ALL).await.unwrap();
    all.iter().filter(|(key, _)| key.as_str().contains("/shreds/")).count()
}

#[tokio::test]
async fn nodes_that_died_are_waited_for_until_their_keys_have_expired_and_then_forgotten() {
    let world = World::new();
    let one = world.node().await;
    let died = world.node().await.node().unwrap().to_owned();
    sealing(&one, &space("acme", "products")).await.unwrap();
    let shredder = Shredder::new(one.clone()).with_wait(Duration::ZERO);
    assert_eq!(shredder.shred(&acme()).await.unwrap().unconfirmed, [died]);
    assert_eq!(left_over(&world).await, 1, "the order stands for as long as somebody may have to follow it");
    world.pass(DAY + 10 * MINUTE, &[&one]).await;
    assert!(shredder.shred(&acme()).await.unwrap().is_complete());
    world.node().await;
    let nodes = world.records.list(&RecordPrefix::from(RecordKey::new("mst1/test/nodes").unwrap())).await.unwrap();
    assert_eq!(nodes.len(), 2, "who starts forgets those who died");
    assert_eq!(left_over(&world).await, 0);
}

/// Records that are not there when they are told so, but for what begins with a prefix.
#[derive(Debug)]
struct Cut {
    inner: Arc<memstache_core::MemoryRecords>,
    is: std::sync::atomic::AtomicBool,
}

impl Cut {
    fn check(&self, key: &str) -> memstache_core::Result<()> {
        let cut = self.is.load(std::sync::atomic::Ordering::Relaxed) && key.contains("/shreds/");
        if cut { Err(Error::new(ErrorKind::Unavailable, "cut off")) } else { Ok(()) }
    }
}

impl RecordStore for Cut {
    fn get<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, memstache_core::Result<Option<Record>>> {
        self.inner.get(key)
    }
    fn put<'a>(
        &'a self,
        key: &'a RecordKey,
        value: Bytes,
        expected: Expected,
    ) -> BoxFuture<'a, memstache_core::Result<u64>> {
        Box::pin(async move {
            self.check(key.as_str())?;
            self.inner.put(key, value, expected).await
        })
    }
    fn remove<'a>(&'a self, key: &'a RecordKey, expected: Expected) -> BoxFuture<'a, memstache_core::Result<bool>> {
        self.inner.remove(key, expected)
    }
    fn list<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, memstache_core::Result<Vec<(RecordKey, Record)>>> {
        self.inner.list(prefix)
    }
    fn watch<'a>(&'a self, prefix: &'a RecordPrefix) -> BoxFuture<'a, memstache_core::Result<RecordStream>> {
        self.inner.watch(prefix)
    }
}

#[tokio::test]
async fn an_order_that_cannot_be_given_is_an_error_and_the_keys_are_gone_even_so() {
    let world = World::new();
    let records = Arc::new(Cut { inner: Arc::clone(&world.records), is: false.into() });
    let node = world.builder_over(Arc::clone(&records) as Arc<dyn RecordStore>).open().await.unwrap();
    let space = space("acme", "products");
    let id = sealing(&node, &space).await.unwrap();
    records.is.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = Shredder::new(node.clone()).shred(&acme()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(opening(&node, &space, id).await, Err(KeyFailure::Revoked));
    records.is.store(false, std::sync::atomic::Ordering::Relaxed);
    let receipt = Shredder::new(node).shred(&acme()).await.unwrap();
    assert!(receipt.is_complete() && receipt.keys.is_empty());
}

#[tokio::test]
async fn two_who_shred_at_once_both_get_true_receipts() {
    let world = World::new();
    let (one, other, third) = (world.node().await, world.node().await, world.node().await);
    let tasks = [one.run(), other.run(), third.run()];
    yield_often().await;
    let space = space("acme", "products");
    let id = sealing(&one, &space).await.unwrap();
    opening(&third, &space, id).await.unwrap();
    let shred = |node: &memstache_crypto::Keyring| {
        let shredder = Shredder::new(node.clone());
        tokio::spawn(async move { shredder.shred(&acme()).await.unwrap() })
    };
    let (first, second) = (shred(&one), shred(&other));
    for _ in 0..20 {
        world.clock.advance(Duration::from_millis(500));
        yield_often().await;
    }
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first.keys.len() + second.keys.len(), 1, "one of them destroyed it");
    for receipt in [first, second] {
        assert_eq!((receipt.confirmed.len(), receipt.unconfirmed.len()), (3, 0), "{receipt:?}");
    }
    drop(tasks);
}
