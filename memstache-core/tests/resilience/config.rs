//! All settings as a whole.

use memstache_core::{
    Cache, Condition, ErrorKind, Get, HealthValue, Json, Lifetime, MemoryStore, NewEntry, OneOrMany, Set, Stack,
    observe::Registry,
    resilience::{BreakerConfig, BreakerState, RateConfig, Resilience, ResilienceConfig, RetryConfig, TimeoutConfig},
};

use crate::kit::{Kit, address, kind, millis, read, secs, start};

#[test]
fn everything_that_is_wrong_is_in_one_error() {
    let config = ResilienceConfig {
        max_calls: Some(0),
        max_bytes: Some(7),
        rate: Some(RateConfig::per_second(0)),
        retry: Some(RetryConfig::default().with_retries(99)),
        breaker: Some(BreakerConfig::leaf().with_probes(0)),
        timeout: Some(TimeoutConfig::new(secs(0), secs(0))),
    };
    let error = Resilience::new(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    for line in [
        "limit calls must be at least 1, but 0 was given",
        "bulkhead bytes must be at least 65536, but 7 was given",
        "rate per_second must be from 1 to 1000000, but 0 was given",
        "retry retries must be from 1 to 10, but 99 was given",
        "breaker probes must be from 1 to 1000, but 0 was given",
        "timeout read must be above zero, but zero was given",
        "timeout write must be above zero, but zero was given",
    ] {
        assert!(text.contains(line), "{line} is not in: {text}");
    }
    assert_eq!(text.matches("; ").count(), 6);
}

#[test]
fn the_settings_of_a_part_tell_all_that_is_wrong_too() {
    let text = |result: memstache_core::Result<()>| result.unwrap_err().to_string();
    let breaker = text(BreakerConfig::source().with_probes(0).with_open_for(secs(0)).check());
    assert_eq!(
        breaker,
        "breaker open_for must be above zero, but zero was given; breaker probes must be from 1 to 1000, but 0 was given"
    );
    let retry = text(RetryConfig::default().with_retries(0).with_budget(f64::NAN, 1).check());
    assert!(retry.contains("retry retries must be") && retry.contains("retry budget must be"), "{retry}");
    assert_eq!(text(TimeoutConfig::new(secs(0), secs(0)).check()).matches("above zero").count(), 2);
}

#[tokio::test]
async fn the_default_is_one_call_and_says_how_it_fares() {
    let resilience = Resilience::default();
    let store = MemoryStore::builder().build().unwrap();
    let stack = Stack::over(store).resilient(&resilience).build();
    assert!(read(&stack, "a").await.is_ok());
    let snapshot = resilience.snapshot();
    assert_eq!((snapshot.calls.taken, snapshot.calls.most), (0, 1024));
    assert_eq!((snapshot.bytes.taken, snapshot.bytes.most), (0, 64 << 20));
    assert_eq!((snapshot.retry.retries, snapshot.timeouts), (0, 0));
    let breaker = snapshot.breaker.unwrap();
    assert_eq!((breaker.state, breaker.failing_since, breaker.window_calls), (BreakerState::Closed, None, 1));
}

#[tokio::test(start_paused = true)]
async fn the_layers_are_in_their_order() {
    let kit = Kit::new(ResilienceConfig { max_calls: Some(1), ..ResilienceConfig::default() });
    let stack = kit.stack();
    kit.hang();
    let call = start(&stack, Get::one(address("a")));
    kit.pass(millis(300)).await;
    // The limit is above the retries: a call that is repeated keeps its place.
    assert_eq!(kind(read(&stack, "a").await), ErrorKind::Overloaded);
    kit.pass(secs(2)).await;
    // The timeout is per attempt, and each attempt counts for the breaker.
    assert_eq!(kind(call.await.unwrap()), ErrorKind::Timeout);
    assert_eq!(kit.attempts("get"), 4);
    let snapshot = kit.resilience.snapshot();
    assert_eq!((snapshot.timeouts, snapshot.retry.retries), (4, 3));
    assert_eq!(snapshot.breaker.unwrap().consecutive_failures, 4);
    // The breaker is below the retries: that it is open is not waited for.
    let call = start(&stack, Get::one(address("a")));
    kit.pass(millis(280)).await;
    assert_eq!(kind(call.await.unwrap()), ErrorKind::Unavailable);
    assert_eq!(kit.attempts("get"), 5);
    assert_eq!(kit.resilience.breaker().unwrap().state(), BreakerState::Open);
}

#[tokio::test]
async fn what_is_left_out_is_not_there() {
    let kit = Kit::new(ResilienceConfig::none());
    let stack = kit.stack();
    kit.down();
    for _ in 0..20 {
        assert_eq!(kind(read(&stack, "a").await), ErrorKind::Unavailable);
    }
    assert_eq!(kit.attempts("get"), 20);
    let snapshot = kit.resilience.snapshot();
    assert_eq!((snapshot.breaker, snapshot.calls.most, snapshot.bytes.most), (None, 0, 0));
    kit.faults.heal();
    let entry = NewEntry::new("v", Lifetime::default());
    assert!(stack.dispatch(Set::one(address("a"), entry)).await.is_ok());
}

#[tokio::test]
async fn an_open_breaker_and_a_full_limit_are_seen_in_health() {
    let kit = Kit::new(ResilienceConfig { max_calls: Some(1), retry: None, ..ResilienceConfig::default() });
    let (stack, cache) = (kit.stack(), kit.cache());
    assert_eq!(cache.health().condition, Condition::Healthy);
    kit.hang();
    let call = start(&stack, Get::one(address("a")));
    kit.pass(millis(1)).await;
    let limits = cache.health().part("limits").unwrap().clone();
    assert_eq!((limits.condition, cache.health().condition), (Condition::Degraded, Condition::Degraded));
    call.abort();
    kit.faults.heal();
    kit.down();
    kit.pass(millis(1)).await;
    assert_eq!(cache.health().condition, Condition::Healthy);
    for _ in 0..6 {
        assert!(read(&stack, "a").await.is_err());
    }
    kit.pass(millis(100)).await;
    let breaker = cache.health().part("breaker").unwrap().clone();
    assert_eq!((breaker.condition, breaker.since), (Condition::Degraded, Some(millis(100))));
    kit.faults.heal();
    kit.pass(millis(300)).await;
    assert_eq!(cache.health().condition, Condition::Healthy);
}

/// A count that health shows of the limits.
fn shown(cache: &Cache<Json>, name: &str) -> u64 {
    let health = cache.health();
    let values = &health.part("limits").unwrap().values;
    match values.iter().find(|(known, _)| known == name) {
        Some((_, HealthValue::Count(count))) => *count,
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn what_the_rate_refuses_is_counted_and_seen_in_health() {
    let rate = RateConfig::per_second(10).with_burst(2);
    let kit = Kit::new(ResilienceConfig { rate: Some(rate), ..ResilienceConfig::default() });
    let (stack, cache) = (kit.stack(), kit.cache());
    for expected in [0, 0, 1, 2] {
        assert_eq!(read(&stack, "a").await.is_ok(), expected == 0);
        assert_eq!(kit.resilience.snapshot().rate.refused, expected);
        assert_eq!(shown(&cache, "rate_refused"), expected);
    }
    let three = OneOrMany::Many(["a", "b", "c"].map(|name| address(name).into()).into());
    let batch = stack.dispatch(Get { items: three, ..Get::one(address("a")) }).await;
    assert_eq!(kind(batch), ErrorKind::Invalid, "more than the burst: no wait helps");
    assert_eq!((kit.resilience.snapshot().rate.refused, shown(&cache, "shed")), (2, 0));
    let off = Kit::new(ResilienceConfig::none());
    assert!(read(&off.stack(), "a").await.is_ok());
    assert_eq!(off.resilience.snapshot().rate.refused, 0);
}

#[tokio::test]
async fn the_bytes_of_a_write_under_way_are_seen_in_health() {
    const MOST: usize = 64 << 10;
    let kit = Kit::new(ResilienceConfig { max_bytes: Some(MOST), retry: None, ..ResilienceConfig::default() });
    let (stack, cache) = (kit.stack(), kit.cache());
    assert_eq!((shown(&cache, "bytes"), shown(&cache, "max_bytes")), (0, MOST as u64));
    kit.hang();
    let set = |name, bytes| Set::one(address(name), NewEntry::new("x".repeat(bytes), Lifetime::default()));
    let call = start(&stack, set("a", 10_000));
    kit.pass(millis(1)).await;
    let taken = shown(&cache, "bytes");
    assert!((10_000..20_000).contains(&taken), "{taken}");
    assert_eq!((shown(&cache, "shed"), cache.health().condition), (0, Condition::Healthy));
    let more = start(&stack, set("b", MOST));
    kit.pass(millis(1)).await;
    assert_eq!(kind(more.await.unwrap()), ErrorKind::Overloaded);
    assert_eq!((shown(&cache, "bytes"), shown(&cache, "shed")), (taken, 1));
    call.abort();
    kit.faults.heal();
    kit.pass(millis(1)).await;
    assert_eq!((shown(&cache, "bytes"), shown(&cache, "max_bytes")), (0, MOST as u64));
}

#[tokio::test(start_paused = true)]
async fn what_the_layers_do_is_seen_in_the_metrics() {
    let rate = RateConfig::per_second(1).with_burst(20);
    let config = ResilienceConfig { max_calls: Some(1), rate: Some(rate), ..ResilienceConfig::default() };
    let (kit, registry) = (Kit::new(config), Registry::new());
    let (stack, watched) = (kit.stack(), kit.resilience.clone());
    registry.watch_resilience("shop", move || watched.snapshot().into()).unwrap();
    let assert_tells = |name: &str, labels: &str, number: u64| {
        let line = format!("memstache_{name}{{memstache_cache=\"shop\"{labels}}} {number}");
        let text = registry.prometheus_text();
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    };
    let (store, closed) = (",memstache_breaker=\"store\"", ",memstache_breaker=\"store\",memstache_state=\"closed\"");
    assert_tells("breaker_state", closed, 1);
    kit.hang();
    let call = start(&stack, Get::one(address("a")));
    kit.pass(millis(1)).await;
    assert_eq!(kind(read(&stack, "a").await), ErrorKind::Overloaded);
    kit.pass(secs(2)).await;
    assert_eq!(kind(call.await.unwrap()), ErrorKind::Timeout);
    let call = start(&stack, Get::one(address("a")));
    kit.pass(millis(280)).await;
    assert_eq!(kind(call.await.unwrap()), ErrorKind::Unavailable);
    while kit.resilience.snapshot().rate.refused == 0 {
        assert!(read(&stack, "a").await.is_err());
    }
    let snapshot = kit.resilience.snapshot();
    let breaker = snapshot.breaker.unwrap();
    assert_eq!((breaker.state, breaker.opened), (BreakerState::Open, 1));
    assert_tells("breaker_state", closed, 0);
    assert_tells("breaker_state", ",memstache_breaker=\"store\",memstache_state=\"open\"", 1);
    assert_tells("breaker_opened_total", store, 1);
    assert_tells("breaker_refused_total", store, breaker.refused);
    assert_tells("shed_total", ",memstache_limit=\"calls\"", 1);
    assert_tells("shed_total", ",memstache_limit=\"bytes\"", 0);
    assert_tells("shed_total", ",memstache_limit=\"rate\"", 1);
    assert_tells("retries_total", "", snapshot.retry.retries);
    assert_tells("timeouts_total", "", snapshot.timeouts);
    assert!(breaker.refused > 0 && snapshot.retry.retries >= 3 && snapshot.timeouts >= 4, "{snapshot:?}");
}
