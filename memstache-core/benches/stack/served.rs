//! Calls that are answered.

use std::hint::black_box;

use memstache_core::{
    Address, Cache, CacheService, ErasedService, Get, Json, KeyspaceName, MemoryStore, NearConfig, Request, Space,
    Stack, TransformLayer,
    resilience::{Resilience, ResilienceConfig},
};
use tower::{Service, ServiceBuilder};

use crate::{
    row::Row,
    support::{Pass, now},
};

pub(crate) const BARE: &str = "bare memory store";
pub(crate) const BOXED: &str = "+ erased once";
pub(crate) const FULL: &str = "full default stack, bytes hit";
pub(crate) const NEAR: &str = "near hit, get::<u64>";
pub(crate) const WHOLE: &str = "handle over the full stack, get::<u64>";

pub(crate) fn store() -> MemoryStore {
    MemoryStore::builder().max_bytes(1 << 20).build().expect("good settings")
}

pub(crate) fn address() -> Address {
    let space = Space::new(None, &KeyspaceName::new("k").expect("a keyspace"));
    Address::plain(&space, "user:7").expect("a name")
}

/// A handle on a stack that has the key now.
pub(crate) fn fill(service: ErasedService) -> Cache<Json> {
    let cache = Cache::builder(service).keyspace("k").format(Json).build().expect("good settings");
    now(async { cache.set("user:7", &7u64).await }).expect("stored");
    cache
}

/// The layers of a default stack over a leaf: limits, two transforms, retries, a breaker, the timeout of attempts.
pub(crate) fn layers<S: CacheService>(leaf: S, config: ResilienceConfig) -> ErasedService {
    let resilience = Resilience::new(config).expect("good settings");
    Stack::over(leaf).resilient(&resilience).compress(Pass).seal(Pass).build()
}

pub(crate) fn rows() -> Vec<Row> {
    vec![bare(), layered(), erased(), full(), handle(), near(), whole()]
}

fn bare() -> Row {
    let mut bare = store();
    fill(ErasedService::new(bare.clone()));
    let key = address();
    Row::new(BARE, 0, move || {
        black_box(now(bare.call(Request::Get(Get::one(key.clone()))))).expect("found");
    })
}

fn layered() -> Row {
    let layer = || TransformLayer::new(Pass);
    let inner = store();
    fill(ErasedService::new(inner.clone()));
    let mut layered =
        ServiceBuilder::new().layer(layer()).layer(layer()).layer(layer()).layer(layer()).layer(layer()).service(inner);
    let key = address();
    Row::new("+ five static layers", 0, move || {
        black_box(now(layered.call(Request::Get(Get::one(key.clone()))))).expect("found");
    })
}

fn erased() -> Row {
    let erased = ErasedService::new(store());
    fill(erased.clone());
    let key = address();
    Row::new(BOXED, 1, move || {
        black_box(now(erased.dispatch(Get::one(key.clone())))).expect("found");
    })
}

fn full() -> Row {
    let stack = layers(store(), ResilienceConfig::default());
    let key = fill(stack.clone()).address("user:7").expect("a name");
    Row::new(FULL, 2, move || {
        black_box(now(stack.dispatch(Get::one(key.clone())))).expect("found");
    })
}

fn handle() -> Row {
    let cache = fill(ErasedService::new(store()));
    Row::new("handle over the store, get::<u64>", 2, move || {
        assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
    })
}

fn near() -> Row {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let near = NearConfig::new(1 << 20).expect("large enough");
    let cache = runtime.block_on(async { fill(Stack::over(store()).near(near).build()) });
    assert_eq!(runtime.block_on(cache.get::<u64>("user:7")).expect("found"), Some(7));
    Row::new(NEAR, 0, move || {
        // The runtime stays alive for as long as the near cache's follower does.
        let _runtime = &runtime;
        assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
    })
}

fn whole() -> Row {
    let cache = fill(layers(store(), ResilienceConfig::default()));
    Row::new(WHOLE, 3, move || {
        assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
    })
}
