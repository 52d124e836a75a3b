//! A cache that does everything that there is an instrument for.

use std::{
    future::{Ready, ready},
    io,
    sync::Arc,
    time::Duration,
};

use memstache_core::{
    Cache, Error, ErrorKind, Json, LoadContext, MemoryStore, NearConfig, Stack,
    observe::{
        DatabaseCalls, DatabaseCommand, OTHER_TENANTS, ObserveLayer, Recorder, Registry, ResilienceUse, TenantUse, Tier,
    },
    resilience::{BreakerConfig, CircuitBreaker},
    testing::{Fault, Faults, Gate, ManualClock},
};

/// What a name or value of the workload contains, and nothing else.
pub(crate) const SECRET: &str = "s3cret";

/// What a store sends to its database.
pub(crate) const COMMANDS: &[DatabaseCommand] = &[DatabaseCommand { operation: "EVALSHA", procedure: "set" }];

/// A source's answer.
fn brings(value: u32) -> Ready<io::Result<u32>> {
    ready(Ok(value))
}

/// Goes through every outcome, operation, result, fill and rejection that a handle can be brought to.
pub(crate) async fn everything(recorder: impl Recorder + Clone, registry: Option<&Registry>) {
    let (clock, faults) = (ManualClock::new(), Faults::new());
    let store = MemoryStore::builder().max_bytes(1 << 20).clock(clock.clone()).build().unwrap();
    let near = NearConfig::new(1 << 20).unwrap().with_clock(clock.clone());
    let observe = ObserveLayer::new(recorder.clone()).with_clock(clock.clone());
    let (stack, view) =
        Stack::over(store.clone()).timeout(faults.clone()).near(near).observe(observe).build_with_view();
    if let Some(registry) = registry {
        registry.watch("products", Tier::Store, move || store.stats().into()).unwrap();
        registry.watch("products", Tier::Near, move || view.stats().into()).unwrap();
        let breaker = Some(CircuitBreaker::new(BreakerConfig::leaf()).unwrap().snapshot());
        let fares = ResilienceUse { store: breaker, source: breaker, ..ResilienceUse::default() };
        registry.watch_resilience("products", move || fares).unwrap();
        let calls = Arc::new(DatabaseCalls::new("redis", COMMANDS, &["timeout"]));
        calls.record(0, Some(0), Duration::from_millis(1));
        registry.watch_database("products", calls).unwrap();
        registry.watch_tenants(|| vec![TenantUse { name: OTHER_TENANTS.into(), ..TenantUse::default() }]);
    }
    let build = |schema| {
        let builder = Cache::builder(stack.clone()).keyspace("k").format(Json).clock(clock.clone());
        let builder = builder.schema("item", schema).ttl(Duration::from_secs(10)).stale_for(Duration::from_secs(60));
        builder.recorder(recorder.clone()).build().unwrap()
    };
    let (cache, other) = (build(1), build(2));
    let name = |n: u32| format!("{SECRET}:{n}");

    // Outcomes.
    assert_eq!(cache.get::<u32>(name(1)).await.unwrap(), None);
    cache.set(name(1), &1).tags([SECRET]).await.unwrap();
    for _ in 0..3 {
        assert_eq!(cache.get::<u32>(name(1)).await.unwrap(), Some(1));
    }
    assert!(cache.get::<u32>("").await.is_err());
    let none = |load: LoadContext<u32>| async move { Ok::<_, io::Error>(load.negative(Duration::from_secs(60))) };
    assert_eq!(cache.get_or_load(name(2), none).optional().await.unwrap(), None);
    assert_eq!(cache.get::<u32>(name(2)).await.unwrap(), None);
    cache.set(name(3), &3).await.unwrap();
    clock.advance(Duration::from_secs(11));
    assert_eq!(cache.get_entry::<u32>(name(3)).await.unwrap().value, Some(3));

    // Loads: joined, stored, failed, refused.
    let gate = Gate::new();
    let load = |value| {
        let gate = gate.clone();
        move |_: LoadContext<u32>| async move {
            gate.pass().await;
            brings(value).await
        }
    };
    let call = |value| {
        let (cache, load, name) = (cache.clone(), load(value), name(4));
        tokio::spawn(async move { cache.get_or_load(name, load).await })
    };
    let callers = [call(4), call(5)];
    while cache.stats().loads_joined == 0 {
        tokio::task::yield_now().await;
    }
    cache.remove(name(4)).await.unwrap();
    gate.open();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(cache.get_or_load(name(5), |_| brings(5)).await.unwrap(), 5);
    let fails = |_: LoadContext<u32>| async { Err::<u32, _>(io::Error::other(SECRET)) };
    assert!(cache.get_or_load(name(6), fails).await.is_err());

    // Values that cannot be used: another schema, another type.
    assert_eq!(other.get::<u32>(name(5)).await.unwrap(), None);
    cache.set(name(7), SECRET).await.unwrap();
    assert_eq!(cache.get::<u32>(name(7)).await.unwrap(), None);

    // Every operation, and the store in trouble: fills that fail, loads without it, calls that are dropped.
    assert!(cache.touch(name(5)).await.unwrap());
    assert!(cache.explain(name(5)).await.unwrap().outcome.is_some());
    cache.invalidate_tag(SECRET).await.unwrap();
    let gone = |name: &'static str| {
        let fault = Fault::before(Error::new(ErrorKind::Unavailable, "on purpose"));
        faults.inject(fault.when(move |request| request.name() == name));
    };
    gone("set");
    assert_eq!(cache.get_or_load(name(8), |_| brings(8)).await.unwrap(), 8);
    faults.heal();
    gone("get");
    assert_eq!(cache.get_or_load(name(9), |_| brings(9)).await.unwrap(), 9);
    faults.heal();
    faults.inject(Fault::hang());
    let hanging = tokio::spawn({
        let (cache, name) = (cache.clone(), name(10));
        async move { cache.get::<u32>(name).await }
    });
    while faults.hanging() == 0 {
        tokio::task::yield_now().await;
    }
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());
    faults.heal();

    let stats = cache.stats();
    let all =
        [stats.hits, stats.stale, stats.negative, stats.misses, stats.errors, stats.cancelled, stats.loads_joined];
    assert!(all.iter().all(|count| *count > 0), "{stats:?}");
    let loads = [stats.loads_degraded, stats.load_failures, stats.fills_refused, stats.fills_failed];
    assert!(loads.iter().all(|count| *count > 0), "{stats:?}");
    assert!(stats.rejected_decode > 0 && other.stats().rejected_schema > 0);
    while cache.loads_in_flight() > 0 {
        tokio::task::yield_now().await;
    }
}
