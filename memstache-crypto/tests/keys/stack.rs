//! A typed cache over sealed values, with keys of a keyring: what a caller sees of rotations and outages.

use std::{convert::Infallible, sync::Arc, time::Duration};

use memstache_core::{
    Cache, ErasedService, ErrorKind, FileRecords, Json, MemoryStore, NearConfig, RecordStore, Stack, TenantId,
    Tenanted, testing::ManualClock,
};
use memstache_crypto::{
    BlindNames, KeyFailure, KeyManagement, KeyOwner, Keyring, ProviderError, ProviderErrorKind, Seal,
};

use crate::kit::{HOUR, MINUTE, World, opening, sealing, space};

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn store(clock: &ManualClock) -> MemoryStore {
    MemoryStore::builder().clock(clock.clone()).build().unwrap()
}

fn seal(world: &World, keyring: &Keyring) -> Seal {
    Seal::builder(keyring.clone()).clock(world.clock.clone()).build().unwrap()
}

fn cache(stack: ErasedService, clock: &ManualClock) -> Cache<Json, Tenanted> {
    Cache::builder(stack)
        .keyspace("products")
        .ttl(HOUR * 24)
        .clock(clock.clone())
        .format(Json)
        .build_tenanted()
        .unwrap()
}

#[tokio::test]
async fn values_stay_readable_over_rotations_and_restarts_and_are_loaded_anew_after_a_revocation() {
    let world = World::new();
    let store = store(&world.clock);
    let node = world.node().await;
    let products = cache(Stack::over(store.clone()).seal(seal(&world, &node)).build(), &world.clock);
    let owner = KeyOwner::tenant(acme());
    products.for_tenant(&acme()).set("tea", &1).await.unwrap();
    node.rotate_derived(&owner).await.unwrap();
    node.rotate_master_key(None).await.unwrap();
    world.pass(10 * MINUTE, &[&node]).await;
    products.for_tenant(&acme()).set("coffee", &2).await.unwrap();

    let restarted = world.node().await;
    let again = cache(Stack::over(store).seal(seal(&world, &restarted)).build(), &world.clock);
    let again = again.for_tenant(&acme());
    assert_eq!(again.get::<i32>("tea").await.unwrap(), Some(1));
    assert_eq!(again.get::<i32>("coffee").await.unwrap(), Some(2));

    let id = restarted.get_derived_key(&owner, None).await.unwrap().id();
    restarted.revoke(&owner, id).await.unwrap();
    assert_eq!(again.get::<i32>("tea").await.unwrap(), Some(1), "under the key before");
    assert_eq!(again.get::<i32>("coffee").await.unwrap(), None, "a miss");
    let loaded: i32 = again.get_or_load("coffee", |_| async { Ok::<_, Infallible>(3) }).await.unwrap();
    assert_eq!((loaded, again.get::<i32>("coffee").await.unwrap()), (3, Some(3)), "and sealed with the next");
}

#[tokio::test]
async fn vault_down_and_no_keys_reads_miss_writes_are_refused_and_the_near_cache_serves() {
    let world = World::new();
    let store = store(&world.clock);
    let node = world.builder().with_max_stale(HOUR).open().await.unwrap();
    let near = NearConfig::new(1 << 20).unwrap().with_clock(world.clock.clone());
    let seal = seal(&world, &node);
    let stack = Stack::over(store.clone()).seal(seal.clone()).near(near);
    let (stack, view) = stack.build_with_view();
    let products = cache(stack, &world.clock).for_tenant(&acme());
    products.set("tea", &1).await.unwrap();
    while view.stats().hits == 0 {
        assert_eq!(products.get::<i32>("tea").await.unwrap(), Some(1));
        tokio::task::yield_now().await;
    }

    world.vault.fail(ProviderError::new(ProviderErrorKind::Unavailable, "a test"));
    for _ in 0..13 {
        world.clock.advance(5 * MINUTE);
        let _ = node.refresh().await;
    }
    let calls = world.vault.calls();
    assert_eq!(products.get::<i32>("tea").await.unwrap(), Some(1), "near");
    let without_near = cache(Stack::over(store).seal(seal).build(), &world.clock).for_tenant(&acme());
    assert_eq!(without_near.get::<i32>("tea").await.unwrap(), None, "a miss, not an error");
    let refused = products.set("coffee", &2).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    let loaded: i32 = without_near.get_or_load("tea", |_| async { Ok::<_, Infallible>(7) }).await.unwrap();
    assert_eq!(loaded, 7, "callers get what is loaded, though it cannot be stored");
    assert_eq!(world.vault.calls(), calls, "no request called the vault");
}

#[tokio::test]
async fn blind_names_are_the_same_on_every_node() {
    let world = World::new();
    let store = store(&world.clock);
    let mut caches = Vec::new();
    for _ in 0..2 {
        let node = world.builder().with_blind_names().open().await.unwrap();
        node.prepare(&space("acme", "products")).await.unwrap();
        let stack = Stack::over(store.clone()).seal(seal(&world, &node)).build();
        let names = BlindNames::new(node);
        let cache = Cache::builder(stack).keyspace("products").namer(names).format(Json).build_tenanted().unwrap();
        caches.push(cache.for_tenant(&acme()));
    }
    caches[0].set("tea", &1).await.unwrap();
    assert_eq!(caches[1].get::<i32>("tea").await.unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_over_files_hear_of_a_revocation_by_the_watch() {
    let path = std::env::temp_dir().join(format!("memstache-keys-watch-{}", std::process::id()));
    let world = World::new();
    let files = async || {
        let builder = FileRecords::builder(&path).with_clock(Arc::new(world.clock.clone()));
        Arc::new(builder.with_poll_every(Duration::from_millis(10)).unwrap().open().await.unwrap())
            as Arc<dyn RecordStore>
    };
    let one = world.builder_over(files().await).open().await.unwrap();
    let other = world.builder_over(files().await).open().await.unwrap();
    let space = space("acme", "products");
    let id = sealing(&one, &space).await.unwrap();
    assert_eq!(opening(&other, &space, id).await, Ok(id));
    let task = other.run();
    // The task waits for its timer, and for the next look at the directory.
    while world.clock.sleepers() < 2 {
        tokio::task::yield_now().await;
    }
    one.revoke(&KeyOwner::tenant(acme()), id).await.unwrap();
    while opening(&other, &space, id).await != Err(KeyFailure::Revoked) {
        if world.clock.sleepers() >= 2 {
            world.clock.advance(Duration::from_millis(10));
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(other.stats().refreshes, 0, "long before the refresh");
    drop(task);
    std::fs::remove_dir_all(path).unwrap();
}
