//! A tenant that must be forgotten, with keys of a keyring that two nodes share.

use std::{sync::Arc, time::Duration};

use memstache_core::{
    Address, Cache, Clock, ErasedService, Get, Json, Lifetime, Lookup, MemoryRecords, MemoryStore, NearConfig,
    NewEntry, Operation, RecordStore, Set, Space, Stack, TenantId, TenantKeys, Tenanted, testing::ManualClock,
};
use memstache_crypto::{DataKeys, KeyLookup, Keyring, KeyringTask, Seal, Secret, Shredder, StaticProvider};

use crate::{
    kit::{settle, tenant},
    owned::HOUR,
};

/// One environment: records, a clock, and a store that its nodes share.
struct World {
    clock: ManualClock,
    records: Arc<MemoryRecords>,
    store: MemoryStore,
}

/// A process: its keyring, its near cache, its handles.
struct Node {
    keyring: Keyring,
    stack: ErasedService,
    seal: Seal,
    tenants: Cache<Json, Tenanted>,
    /// Hears of what other nodes do to keys.
    _task: KeyringTask,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
        Self { clock, records: Arc::new(MemoryRecords::new()), store }
    }

    async fn node(&self) -> Node {
        self.node_over(Arc::clone(&self.records) as Arc<dyn RecordStore>).await
    }

    async fn node_over(&self, records: Arc<dyn RecordStore>) -> Node {
        let master = StaticProvider::dangerous_from_secrets([Secret::from_bytes([1; 32])]).unwrap();
        let keyring = Keyring::builder("test", records, Arc::new(master)).with_clock(Arc::new(self.clock.clone()));
        let keyring = keyring.open().await.unwrap();
        let task = keyring.run();
        let seal = Seal::builder(keyring.clone()).clock(self.clock.clone()).build().unwrap();
        let near = NearConfig::new(1 << 20).unwrap().with_clock(self.clock.clone());
        let stack = Stack::over(self.store.clone()).seal(seal.clone()).near(near).build();
        let builder = Cache::builder(stack.clone()).keyspace("products").clock(self.clock.clone());
        let tenants = builder.ttl(24 * HOUR).format(Json).build_tenanted().unwrap();
        settle().await;
        Node { keyring, stack, seal, tenants, _task: task }
    }

    /// Everything that the store holds of these keys, as somebody who copied it has it.
    async fn dump(&self, of: &[Address]) -> Vec<(Address, NewEntry)> {
        let mut dump = Vec::new();
        for address in of {
            let found = ErasedService::new(self.store.clone()).dispatch(Get::one(address.clone())).await.unwrap();
            let Some(Ok(Lookup::Hit(entry))) = Get::output(found).unwrap().into_one() else { panic!("it is held") };
            let mut new = NewEntry::new(entry.value, Lifetime::new(20 * HOUR).unwrap());
            new.content = entry.meta.content;
            dump.push((address.clone(), new));
        }
        dump
    }

    async fn put_back(&self, dump: &[(Address, NewEntry)]) {
        for (address, entry) in dump {
            let set = Set::one(address.clone(), entry.clone());
            ErasedService::new(self.store.clone()).dispatch(set).await.unwrap();
        }
    }
}

const NAMES: [&str; 3] = ["tea", "coffee", "milk"];

impl Node {
    fn cache(&self, tenant: &TenantId) -> Cache<Json> {
        self.tenants.for_tenant(tenant)
    }

    async fn reads(&self, tenant: &TenantId) -> Vec<Option<u32>> {
        let found = self.cache(tenant).get_many::<u32>(NAMES).await.unwrap();
        found.into_iter().map(Result::unwrap).collect()
    }

    async fn key(&self, space: &Space) -> [u8; 16] {
        match self.keyring.sealing(space) {
            KeyLookup::Ready(key) => *key.id().as_bytes(),
            KeyLookup::Wait(wait) => *wait.await.unwrap().id().as_bytes(),
            other => panic!("{other:?}"),
        }
    }
}

/// Waits until something holds that other nodes bring about; nothing but tasks moves, so it is soon or never.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..100 {
        if holds().await {
            return;
        }
        settle().await;
    }
    panic!("{what}: never");
}

#[tokio::test(start_paused = true)]
async fn a_shredded_tenant_is_read_nowhere_and_the_others_read_on() {
    let (world, gone, stays) = (World::new(), tenant("acme"), tenant("umbrella"));
    let (one, other) = (world.node().await, world.node().await);
    for (value, name) in (1..).zip(NAMES) {
        one.cache(&gone).set(name, &value).tags(["red"]).await.unwrap();
        one.cache(&stays).set(name, &(10 * value)).await.unwrap();
    }
    // Both near caches have copies, in the open.
    for node in [&one, &other, &one, &other] {
        assert_eq!(node.reads(&gone).await, [Some(1), Some(2), Some(3)]);
        settle().await;
    }
    let addresses = NAMES.map(|name| one.cache(&gone).address(name).unwrap());
    let dump = world.dump(&addresses).await;
    let key = one.key(one.cache(&gone).space()).await;

    let shredder = Shredder::new(one.keyring.clone()).with_stack(one.stack.clone());
    let receipt = shredder.shred(&gone).await.unwrap();
    assert_eq!(receipt.keys, [key], "which keys were destroyed");
    assert_eq!((receipt.records, receipt.cleared, receipt.not_cleared), (1, 1, 0));
    assert_eq!(receipt.at, world.clock.wall());
    assert_eq!(receipt.confirmed, [one.keyring.node().unwrap(), other.keyring.node().unwrap()]);
    assert!(receipt.is_complete() && receipt.effective_within == Duration::ZERO);

    assert_eq!(one.reads(&gone).await, [None; 3], "where it was shredded, at once");
    until("the other node hears of it", async || other.reads(&gone).await == [None; 3]).await;

    // The copied dump, with all the key records that remain: for nodes that run, and for one that starts with nothing else.
    let late = world.node().await;
    for node in [&one, &other, &late] {
        world.put_back(&dump).await;
        settle().await;
        let before = (node.seal.stats().rejected_key_revoked, node.tenants.stats().rejected_unopened);
        assert_eq!(node.reads(&gone).await, [None; 3]);
        for name in NAMES {
            assert_eq!(node.cache(&gone).read().authority().get::<u32>(name).await.unwrap(), None);
            assert_eq!(node.cache(&gone).get_arc::<u32>(name).await.unwrap(), None);
        }
        let after = (node.seal.stats().rejected_key_revoked, node.tenants.stats().rejected_unopened);
        assert_eq!((after.0 - before.0, after.1 - before.1), (9, 9), "all are counted");
        assert_eq!(node.reads(&stays).await, [Some(10), Some(20), Some(30)], "others read on");
    }
    // Nor as another tenant, nor as nobody.
    for (address, entry) in &dump {
        for cache in [late.cache(&stays), late.tenants.shared()] {
            let moved = cache.address(address.name()).unwrap();
            world.put_back(&[(moved, entry.clone())]).await;
            settle().await;
            assert_eq!(cache.read().authority().get::<u32>(address.name()).await.unwrap(), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_afterwards_has_new_keys_and_shredding_twice_is_harmless() {
    let (world, gone) = (World::new(), tenant("acme"));
    let (one, other) = (world.node().await, world.node().await);
    one.cache(&gone).set("tea", &1).await.unwrap();
    let dump = world.dump(&[one.cache(&gone).address("tea").unwrap()]).await;
    let old = one.key(one.cache(&gone).space()).await;
    let shredder = Shredder::new(one.keyring.clone()).with_stack(one.stack.clone()).with_stack(other.stack.clone());
    let receipt = shredder.shred(&gone).await.unwrap();
    assert_eq!((receipt.keys.len(), receipt.cleared), (1, 2));
    let again = shredder.shred(&gone).await.unwrap();
    assert_eq!((again.keys.len(), again.cleared, again.not_cleared), (0, 2, 0), "nothing was left");
    settle().await;

    one.cache(&gone).set("tea", &2).await.unwrap();
    let new = one.key(one.cache(&gone).space()).await;
    assert_ne!(old, new);
    until("the other node reads what is new", async || other.cache(&gone).get::<u32>("tea").await.unwrap() == Some(2))
        .await;
    // What was sealed under the old key stays dead under the new one.
    world.put_back(&dump).await;
    settle().await;
    for node in [&one, &other] {
        assert_eq!(node.cache(&gone).get::<u32>("tea").await.unwrap(), None);
    }
    // And the new key goes as the old one went.
    let receipt = shredder.shred(&gone).await.unwrap();
    assert_eq!(receipt.keys, [new]);
    assert_eq!(one.cache(&gone).get::<u32>("tea").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_nobody_knows_gets_an_empty_receipt_and_a_dropped_call_can_be_repeated() {
    let (world, gone) = (World::new(), tenant("acme"));
    let node = world.node().await;
    let shredder = Shredder::new(node.keyring.clone()).with_stack(node.stack.clone());
    let receipt = shredder.shred(&tenant("nobody")).await.unwrap();
    assert_eq!((receipt.keys.len(), receipt.records, receipt.cleared), (0, 0, 1));

    node.cache(&gone).set("tea", &1).await.unwrap();
    // Dropped at every await that there is, then done.
    for polls in 1.. {
        let mut shred = tokio_test::task::spawn(shredder.shred(&gone));
        let mut done = false;
        for _ in 0..polls {
            done = shred.poll().is_ready();
            if done {
                break;
            }
            settle().await;
        }
        drop(shred);
        if done {
            break;
        }
        assert!(polls < 100, "it never ends");
    }
    assert_eq!(node.cache(&gone).get::<u32>("tea").await.unwrap(), None);
    assert_eq!(shredder.shred(&gone).await.unwrap().keys.len(), 0, "nothing is left to be destroyed");
}
