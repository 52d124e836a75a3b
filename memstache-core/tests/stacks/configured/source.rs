//! `[cache.source_breaker]`, and what keyspaces have of their own.

use std::{io, time::Duration};

use memstache_core::{
    Cache, ErrorKind, Json, config::CacheConfig, config::Registry, resilience::BreakerState, testing::ManualClock,
};

use super::{build, told};

async fn fail(cache: &Cache<Json>, key: &str) -> ErrorKind {
    let load = |_| async { Err::<u8, _>(io::Error::other("the source is down")) };
    cache.get_or_load(key, load).await.unwrap_err().kind()
}

#[tokio::test]
async fn handles_share_it_and_a_keyspace_may_have_its_own() {
    let toml = r#"
        [cache.source_breaker]
        enabled = true
        consecutive_failures = 2
        open_for = "10s"
        [keyspaces.same]
        ttl = "1m"
        [keyspaces.own.source_breaker]
        consecutive_failures = 3
        [keyspaces.without.source_breaker]
        enabled = false
    "#;
    let clock = ManualClock::new();
    let built = CacheConfig::new().toml(toml).clock(clock.clone()).build(&Registry::new()).unwrap();
    let cache = |keyspace: &str| built.cache(keyspace).unwrap();
    let state = |keyspace: &str| built.source_breaker(keyspace).map(|breaker| breaker.state());
    assert_eq!(fail(&cache("any"), "a").await, ErrorKind::Load);
    assert_eq!(fail(&cache("same"), "b").await, ErrorKind::Load);
    assert_eq!((state("any"), state("same")), (Some(BreakerState::Open), Some(BreakerState::Open)));
    assert_eq!(fail(&cache("any"), "c").await, ErrorKind::Unavailable);

    for key in ["a", "b", "c"] {
        assert_eq!(state("own"), Some(BreakerState::Closed));
        assert_eq!(fail(&cache("own"), key).await, ErrorKind::Load);
    }
    assert_eq!((state("own"), state("without")), (Some(BreakerState::Open), None));
    for key in ["a", "b", "c", "d"] {
        assert_eq!(fail(&cache("without"), key).await, ErrorKind::Load);
    }
    let health = cache("any").health();
    let names: Vec<_> = health.parts.iter().map(|part| part.part.as_ref()).collect();
    assert_eq!(names, ["memory", "source", "source of own", "loads"], "what is shared is told once");

    clock.advance(Duration::from_secs(11));
    let load = |_| async { Ok::<_, io::Error>(1u8) };
    assert_eq!(cache("same").get_or_load("e", load).await.unwrap(), 1);
    assert_eq!((state("any"), state("own")), (Some(BreakerState::Closed), Some(BreakerState::Open)));
}

#[test]
fn there_is_none_by_default_and_what_is_wrong_is_told_where_it_stands() {
    assert!(build("").unwrap().source_breaker("k").is_none());
    let toml = r#"
        [cache.source_breaker]
        probing = "apart"
        consecutive_failures = "none"
        failure_rate = "none"
        [keyspaces.k]
        ttl = "1s"
        [keyspaces.k.source_breaker]
        probes = 0
        failure_rate = 0.5
    "#;
    assert_eq!(
        told(toml),
        [
            "cache.source_breaker must be opened by consecutive failures or a failure rate, but neither was given",
            "cache.source_breaker.probing is unknown; known are enabled, consecutive_failures, failure_rate, least_calls, window, open_for, probes",
            "keyspaces.k.source_breaker.probes must be a whole number from 1 to 1000, but 0 was given",
        ]
    );
}
