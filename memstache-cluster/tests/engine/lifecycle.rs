//! Starting, stopping, and what is asked before and after.

use memstache_cluster::{Engine, EngineError, KeySpace, RateLimit};
use memstache_core::{Condition, ErrorKind, resilience::BreakerConfig};

use crate::kit::*;

#[tokio::test]
async fn calls_are_taken_between_start_and_stop() {
    let engine = Engine::builder().keyspace(KeySpace::builder(KS).build().unwrap()).build().unwrap();
    let refused = async |why| {
        for error in [
            engine.get(KS, "a").await.map(drop).unwrap_err(),
            engine.get_many(KS, ["a"]).await.map(drop).unwrap_err(),
            engine.put(KS, "a", "v").await.unwrap_err(),
            engine.put_many(KS, [("a", "v")]).await.map(drop).unwrap_err(),
            engine.delete(KS, "a").await.map(drop).unwrap_err(),
            engine.delete_many(KS, ["a"]).await.map(drop).unwrap_err(),
            engine.clear(KS).await.map(drop).unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.find_source()), (ErrorKind::Unavailable, Some(&why)));
            assert!(!error.is_retryable() && !error.may_have_effect());
        }
    };
    refused(EngineError::NotStarted).await;
    assert_eq!(engine.health().condition, Condition::Down);
    engine.start().await.unwrap();
    engine.start().await.unwrap();
    engine.put(KS, "a", "v").await.unwrap();
    assert_eq!(engine.health().condition, Condition::Healthy);
    engine.stop().await.unwrap();
    engine.stop().await.unwrap();
    refused(EngineError::Stopped).await;
    assert_eq!(engine.start().await.unwrap_err().find_source(), Some(&EngineError::Stopped));
    assert_eq!(engine.health().condition, Condition::Down);
}

#[tokio::test]
async fn an_engine_that_never_started_can_be_stopped() {
    let engine = Engine::builder().build().unwrap();
    let mut events = engine.events();
    engine.stop().await.unwrap();
    assert_eq!(events.next().await, None);
    assert_eq!(engine.events().next().await, None, "also for who comes later");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_calls_under_way() {
    let source = Counting::default();
    let engine = alone(sourced(&source)).await;
    let reader = engine.clone();
    let waits = tokio::spawn(async move { read(&reader, "slow").await });
    source.begun().await;
    engine.stop().await.unwrap();
    assert_eq!(waits.await.unwrap().as_deref(), Some("slow#1"));
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever() {
    let source = Counting::default();
    let engine = Engine::builder()
        .keyspace(sourced(&source).read_timeout(secs(600)).load_timeout(secs(600)).build().unwrap())
        .shutdown_timeout(secs(2))
        .build()
        .unwrap();
    engine.start().await.unwrap();
    let reader = engine.clone();
    let waits = tokio::spawn(async move { try_read(&reader, "hangs").await });
    source.begun().await;
    let start = Stopwatch::start();
    assert_eq!(engine.stop().await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(start.elapsed(), secs(2));
    engine.stop().await.unwrap();
    waits.abort();
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let keyspace = || KeySpace::builder(KS).build().unwrap();
    let error = Engine::builder()
        .keyspace(keyspace())
        .keyspace(keyspace())
        .read_timeout(secs(0))
        .write_timeout(secs(u64::MAX))
        .shutdown_timeout(secs(0))
        .event_capacity(0)
        .rate_limit(RateLimit::per_second(0))
        .breaker(BreakerConfig::source().with_probes(0))
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    for part in [
        "keyspaces must be of different names, but \"products\" twice was given",
        "read_timeout must be above zero, but zero was given",
        "write_timeout must be at most 3650 days",
        "shutdown_timeout must be above zero",
        "event_capacity must be 1 to 1048576, but 0 was given",
        "rate per_second must be",
        "breaker probes must be",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
