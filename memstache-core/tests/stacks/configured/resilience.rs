//! `[resilience]`: every value of `ResilienceConfig`.

use memstache_core::{
    Error, ErrorKind, Json, MemoryStore, Written,
    config::{Backend, CacheConfig, EXAMPLE, Place, PlacedLayer, Registry},
    resilience::BreakerState,
    testing::{Fault, Faults, Recorder},
};

use super::{build, told};

const FAULTY: &str = "backend.kind = 'faulty'\n";

/// A registry with a backend `faulty`.
fn faulty(faults: &Faults) -> Registry<Json> {
    let layer = faults.clone();
    Registry::new().backend("faulty", move |section| {
        let store = MemoryStore::builder().clock(section.clock()).build()?;
        Ok(Backend::coherent(tower::Layer::layer(&layer, store)))
    })
}

#[test]
fn it_is_off_by_default_and_has_the_defaults_of_code() {
    assert!(build("").unwrap().resilience().is_none());
    assert!(build(EXAMPLE).unwrap().resilience().is_none());
    let built = build("resilience.enabled = true").unwrap();
    let (snapshot, code) =
        (built.resilience().unwrap().snapshot(), memstache_core::resilience::Resilience::default().snapshot());
    assert_eq!(snapshot, code);
    let parts: Vec<_> = built.service().health().parts.iter().map(|part| part.part.to_string()).collect();
    assert_eq!(parts, ["breaker", "limits", "memory"]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_enabled_or_not() {
    let toml = r#"
        [resilience]
        max_calls = 0
        max_bytes = "1 KiB"
        colour = "red"
        [resilience.rate]
        per_second = 0
        burst = 2_000_000
        [resilience.retry]
        retries = 11
        first_pause = "0"
        max_pause = "2m"
        budget = 11
        reserve = 1_000_001
        retry = 3
        [resilience.breaker]
        consecutive_failures = 0
        failure_rate = 1.5
        least_calls = 0
        window = "2h"
        open_for = "0"
        probes = 1001
        probing = "never"
        [resilience.timeout]
        enabled = "perhaps"
        read = "0"
        write = 7
    "#;
    let time = |least: &str, most: &str| format!("must be a time such as \"1m 30s\", from {least} to {most}");
    let expected = [
        "max_calls must be a whole number from 1 to 4294967295, but 0 was given".to_owned(),
        "max_bytes must be a size such as \"64 MiB\", at least 64 KiB, but \"1 KiB\" was given".to_owned(),
        "rate.per_second must be a whole number from 1 to 1000000, but 0 was given".to_owned(),
        "rate.burst must be a whole number from 1 to 1000000, but 2000000 was given".to_owned(),
        "retry.retries must be a whole number from 1 to 10, but 11 was given".to_owned(),
        format!("retry.first_pause {}, but \"0\" was given", time("1ms", "1m")),
        format!("retry.max_pause {}, but \"2m\" was given", time("1ms", "1m")),
        "retry.budget must be a number from 0 to 10, but 11 was given".to_owned(),
        "retry.reserve must be a whole number from 0 to 1000000, but 1000001 was given".to_owned(),
        "retry.retry is unknown; known are enabled, retries, first_pause, max_pause, budget, reserve".to_owned(),
        "breaker.consecutive_failures must be a whole number from 1 to 4294967295, but 0 was given".to_owned(),
        "breaker.failure_rate must be a number from 0.001 to 1, but 1.5 was given".to_owned(),
        "breaker.least_calls must be a whole number from 1 to 4294967295, but 0 was given".to_owned(),
        format!("breaker.window {}, but \"2h\" was given", time("1ms", "1h")),
        format!("breaker.open_for {}, but \"0\" was given", time("1ms", "1d")),
        "breaker.probes must be a whole number from 1 to 1000, but 1001 was given".to_owned(),
        "breaker.probing must be one of apart, requests, but \"never\" was given".to_owned(),
        "timeout.enabled must be true or false, but \"perhaps\" was given".to_owned(),
        format!("timeout.read {}, but \"0\" was given", time("1ms", "1h")),
        format!("timeout.write {}, but 7 was given", time("1ms", "1h")),
        "colour is unknown; known are enabled, max_calls, max_bytes, rate, retry, breaker, timeout".to_owned(),
    ];
    let told = told(toml);
    assert_eq!(told, expected.map(|line| format!("resilience.{line}")));
}

#[test]
fn settings_that_do_not_agree_are_told_where_they_stand() {
    let toml = r#"
        [resilience.rate]
        per_second = 10_000
        burst = 1
        [resilience.retry]
        first_pause = "2s"
        [resilience.breaker]
        consecutive_failures = "none"
        failure_rate = "none"
    "#;
    assert_eq!(
        told(toml),
        [
            "resilience.rate.burst must be from 10 to 1000000, but 1 was given",
            "resilience.retry.max_pause must be at least first_pause (2s), but 1s was given",
            "resilience.breaker must be opened by consecutive failures or a failure rate, but neither was given",
        ]
    );
    assert_eq!(told("resilience = 3"), ["resilience must be a section with settings"]);
    assert_eq!(told("resilience.retry = 3"), ["resilience.retry must be a section with settings"]);
    assert_eq!(told("resilence.enabled = true"), ["resilence is unknown; did you mean resilience?"]);
}

#[test]
fn a_place_is_filled_once() {
    let layer = |_: &mut memstache_core::config::Section<'_>| Ok(PlacedLayer::new(Recorder::new()));
    let registry = Registry::new().layer(Place::Retry, "mine", layer).layer(Place::Limit, "mine", layer);
    let of = |toml: &str| CacheConfig::new().toml(toml).build(&registry);
    let both = "limit.kind = 'mine'\nretry.kind = 'mine'\ntimeout.kind = 'attempt'\nresilience.enabled = true\n";
    let told = of(both).unwrap_err().to_string();
    for line in [
        "limit.kind must be none, or resilience.max_calls, max_bytes and rate.per_second none: one of them is enough",
        "retry.kind must be none, or resilience.retry.enabled false: one of them is enough",
        "timeout.kind must be none, or resilience.timeout.enabled false: one of them is enough",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let apart = "resilience.max_calls = 'none'\nresilience.max_bytes = 'none'\nresilience.retry.enabled = false\n\
                 resilience.timeout.enabled = false";
    assert!(of(&format!("{both}{apart}")).is_ok());
    assert!(of(&both.replace("enabled = true", "enabled = false")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn attempts_are_cut_off_and_repeated() {
    let faults = Faults::new();
    let toml = "resilience.enabled = true\nresilience.timeout.read = '100ms'\nresilience.retry.retries = 2";
    let config = CacheConfig::new().toml(&format!("{FAULTY}{toml}"));
    let built = config.build(&faulty(&faults)).unwrap();
    let cache = built.cache("k").unwrap();
    faults.inject(Fault::hang().times(2));
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
    let snapshot = built.resilience().unwrap().snapshot();
    assert_eq!((snapshot.timeouts, snapshot.retry.retries), (2, 2));

    let config = CacheConfig::new().toml(&format!("{FAULTY}{toml}")).set("resilience.retry.enabled", false);
    let built = config.build(&faulty(&faults)).unwrap();
    faults.inject(Fault::hang().times(1));
    assert_eq!(built.cache("k").unwrap().get::<u8>("a").await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn the_breaker_opens_and_near_copies_may_do() {
    let faults = Faults::new();
    let toml = "near = { max_bytes = '1 MiB', on_degraded = 'near-only' }\nresilience.enabled = true\n\
                resilience.retry.enabled = false\nresilience.breaker.consecutive_failures = 2\n\
                resilience.breaker.open_for = '1h'";
    let built = CacheConfig::new().toml(&format!("{FAULTY}{toml}")).build(&faulty(&faults)).unwrap();
    let cache = built.cache("k").unwrap();
    faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "refused")).times(usize::MAX));
    for _ in 0..2 {
        assert_eq!(cache.get::<u8>("a").await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(built.resilience().unwrap().breaker().unwrap().state(), BreakerState::Open);
    assert_eq!(cache.set("a", &1).await.unwrap(), Written::NearOnly);
    let load = |_| async { Ok::<_, std::io::Error>(2u8) };
    assert_eq!(cache.get_or_load("b", load).await.unwrap(), 2);

    let strict = toml.replace("near-only", "error");
    let built = CacheConfig::new().toml(&format!("{FAULTY}{strict}")).build(&faulty(&faults)).unwrap();
    assert_eq!(built.cache("k").unwrap().set("a", &1).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(
        told("near.on_degraded = 'near'"),
        ["near.on_degraded must be one of error, near-only, but \"near\" was given"]
    );
}

#[tokio::test]
async fn calls_bytes_and_rate_are_limited() {
    let faults = Faults::new();
    let of = |toml: &str| CacheConfig::new().toml(&format!("{FAULTY}resilience.enabled = true\n{toml}"));
    let rate = of("resilience.rate = { per_second = 1, burst = 2 }").build(&faulty(&faults)).unwrap();
    let cache = rate.cache("k").unwrap();
    for _ in 0..2 {
        assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
    }
    assert_eq!(cache.get::<u8>("a").await.unwrap_err().kind(), ErrorKind::Overloaded);

    let limits = of("resilience.max_calls = 1\nresilience.max_bytes = '64 KiB'").build(&faulty(&faults)).unwrap();
    let snapshot = limits.resilience().unwrap().snapshot();
    assert_eq!((snapshot.calls.most, snapshot.bytes.most), (1, 64 << 10));
    let cache = limits.cache("k").unwrap();
    faults.inject(Fault::hang());
    let hung = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get::<u8>("a").await }
    });
    while limits.resilience().unwrap().snapshot().calls.taken == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(cache.get::<u8>("b").await.unwrap_err().kind(), ErrorKind::Overloaded);
    hung.abort();
    assert!(hung.await.unwrap_err().is_cancelled());
    assert_eq!(limits.resilience().unwrap().snapshot().calls.taken, 0);

    let none = of("resilience.max_calls = 'none'\nresilience.max_bytes = 'none'").build(&faulty(&faults)).unwrap();
    let snapshot = none.resilience().unwrap().snapshot();
    assert_eq!((snapshot.calls.most, snapshot.bytes.most), (0, 0));
}
