//! What a call through a stack allocates.

use memstache_core::{
    Address, Cache, ErasedService, Get, Json, KeyspaceName, MemoryStore, NearConfig, Request, Space, Stack,
    TransformLayer,
    observe::{ObserveLayer, Registry},
};
use tower::{Service, ServiceBuilder};

use super::{
    counted,
    support::{Pass, now},
};

/// Counts the allocations of one call, once it is warm.
fn count(mut call: impl FnMut()) -> usize {
    (0..3).for_each(|_| call());
    counted(call).1.0
}

fn store() -> MemoryStore {
    MemoryStore::builder().max_bytes(1 << 20).build().unwrap()
}

fn filled(service: ErasedService) -> Cache<Json> {
    let cache = Cache::builder(service).keyspace("k").format(Json).build().unwrap();
    now(async { cache.set("user:7", &7u64).await }).unwrap();
    cache
}

#[cfg(feature = "resilience")]
fn missing() -> Address {
    Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), "missing").unwrap()
}

fn address() -> Address {
    Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), "user:7").unwrap()
}

#[test]
fn a_hit_in_the_bare_store_allocates_nothing() {
    let (mut store, address) = (store(), address());
    filled(ErasedService::new(store.clone()));
    assert_eq!(count(|| drop(now(store.call(Request::Get(Get::one(address.clone())))))), 0);
}

#[test]
fn five_static_layers_add_nothing() {
    let (store, address) = (store(), address());
    filled(ErasedService::new(store.clone()));
    let layer = || TransformLayer::new(Pass);
    let layers = ServiceBuilder::new().layer(layer()).layer(layer()).layer(layer()).layer(layer()).layer(layer());
    let mut service = layers.service(store);
    assert_eq!(count(|| drop(now(service.call(Request::Get(Get::one(address.clone())))))), 0);
}

#[test]
fn the_erased_handle_over_the_store_allocates_twice() {
    let cache = filled(ErasedService::new(store()));
    assert_eq!(count(|| assert_eq!(now(cache.get::<u64>("user:7")).unwrap(), Some(7))), 2);
}

#[cfg(feature = "resilience")]
#[test]
fn the_full_default_stack_allocates_twice_for_a_hit_and_once_where_it_sheds() {
    use std::task::{Context, Waker};

    use memstache_core::{
        ErrorKind, OnMiss,
        resilience::{Resilience, ResilienceConfig},
    };

    let full = |config| {
        let resilience = Resilience::new(config).unwrap();
        Stack::over(store()).resilient(&resilience).compress(Pass).seal(Pass).build()
    };
    let (stack, address) = (full(ResilienceConfig::default()), address());
    filled(stack.clone());
    let hit = || drop(now(stack.dispatch(Get::one(address.clone()))).unwrap());
    assert_eq!(count(hit), 2, "the box of the erasure, and that of what is retried");

    let stack = full(ResilienceConfig { max_calls: Some(1), ..ResilienceConfig::default() });
    // Holds the only place for those who wait: for a lease that nobody gives back.
    let lease = Get { on_miss: OnMiss::Lease, ..Get::one(missing()) };
    now(stack.dispatch(lease.clone())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let wait = Get { on_miss: OnMiss::Wait, ..lease };
    let mut held = stack.dispatch(wait.clone());
    assert!(held.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let shed = || assert_eq!(now(stack.dispatch(wait.clone())).unwrap_err().kind(), ErrorKind::Overloaded);
    assert_eq!(count(shed), 1, "less than a hit");
}

#[cfg(feature = "resilience")]
#[test]
fn a_call_that_an_open_breaker_refuses_allocates_no_more_than_a_hit() {
    use memstache_core::{
        ErrorKind,
        resilience::{BreakerConfig, BreakerState, Probing, Resilience, ResilienceConfig},
        testing::{Fault, Faults, ManualClock},
    };
    use tower::Layer as _;

    let breaker = BreakerConfig::leaf().with_probing(Probing::Requests);
    let config = ResilienceConfig { breaker: Some(breaker), ..ResilienceConfig::default() };
    let (resilience, faults) = (Resilience::with_clock(config, ManualClock::new()).unwrap(), Faults::new());
    let stack = Stack::over(faults.layer(store())).resilient(&resilience).compress(Pass).seal(Pass).build();
    faults.inject(Fault::before(memstache_core::Error::new(ErrorKind::Unavailable, "gone").with_retryable(false)));
    while resilience.breaker().unwrap().state() == BreakerState::Closed {
        now(stack.dispatch(Get::one(address()))).unwrap_err();
    }
    let (get, calls) = (address(), faults.injected());
    let refused = || {
        let error = now(stack.dispatch(Get::one(get.clone()))).unwrap_err();
        assert!(error.retry_after().is_some());
    };
    assert_eq!(count(refused), 2, "the box of the erasure, and that of what is retried");
    assert_eq!(faults.injected(), calls, "the store was left alone");
}

#[test]
fn recording_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let recorder = Registry::new().recorder("k").unwrap();
    let observed = || Stack::over(store()).observe(ObserveLayer::new(recorder.clone()));
    let build = |stack| Cache::builder(stack).keyspace("k").format(Json).recorder(recorder.clone()).build().unwrap();
    let cache = build(observed().build());
    now(async { cache.set("user:7", &7u64).await }).unwrap();
    assert_eq!(count(|| assert_eq!(now(cache.get::<u64>("user:7")).unwrap(), Some(7))), 2, "as without");
    assert_eq!(count(|| assert_eq!(now(cache.get::<u64>("none")).unwrap(), None)), 2);
    let near = NearConfig::new(1 << 20).unwrap();
    let cache = runtime.block_on(async { build(observed().near(near).build()) });
    runtime.block_on(async { cache.set("user:7", &7u64).await }).unwrap();
    runtime.block_on(cache.get::<u64>("user:7")).unwrap();
    assert_eq!(count(|| assert_eq!(now(cache.get::<u64>("user:7")).unwrap(), Some(7))), 0);
}

#[test]
fn a_near_hit_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let near = NearConfig::new(1 << 20).unwrap();
    let cache = runtime.block_on(async { filled(Stack::over(store()).near(near).build()) });
    runtime.block_on(cache.get::<u64>("user:7")).unwrap();
    assert_eq!(count(|| assert_eq!(now(cache.get::<u64>("user:7")).unwrap(), Some(7))), 0);
    let load = |_| async { Err::<u64, _>(std::io::Error::other("not asked")) };
    let hit = || assert_eq!(now(async { cache.get_or_load("user:7", load).await }).unwrap(), 7);
    assert_eq!(count(hit), 0, "through get_or_load too");
}

#[test]
fn a_near_hit_on_a_decoded_value_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let near = NearConfig::new(1 << 20).unwrap();
    let cache = runtime.block_on(async { filled(Stack::over(store()).near(near).build()) });
    let text = "a value that cannot be decoded without an allocation".to_owned();
    runtime.block_on(async { cache.set("page", &text).await.unwrap() });
    runtime.block_on(cache.get_arc::<String>("page")).unwrap();
    let hit = || assert_eq!(*now(cache.get_arc::<String>("page")).unwrap().unwrap(), text);
    assert_eq!(count(hit), 0);
    let load = |_| async { Err::<String, _>(std::io::Error::other("not asked")) };
    let hit = || assert_eq!(*now(async { cache.get_or_load("page", load).arc().await }).unwrap(), text);
    assert_eq!(count(hit), 0, "through get_or_load too");
    let ahead = || {
        let load = cache.get_or_load("page", load).ttl(std::time::Duration::from_secs(60)).refresh_ahead(0.9);
        assert_eq!(now(async { load.entry().arc().await }).unwrap().value.as_deref(), Some(&text));
    };
    assert_eq!(count(ahead), 0, "with what is known of it too");
}
