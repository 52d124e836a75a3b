//! What keeps a source from harm.

use memstache_cluster::{DataSourceError, Engine, RateLimit};
use memstache_core::{Condition, Error, ErrorKind, resilience::BreakerConfig};

use crate::kit::*;

fn cause(error: &Error) -> Option<DataSourceError> {
    error.find_source::<DataSourceError>().copied()
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_the_limiter_denies_at_once() {
    let source = Counting::default();
    let engine = alone(sourced(&source).rate_limit(RateLimit::per_second(10).with_burst(2))).await;
    let start = Stopwatch::start();
    assert!(read(&engine, "a").await.is_some() && read(&engine, "b").await.is_some());
    let error = try_read(&engine, "c").await.unwrap_err();
    assert_eq!((error.kind(), cause(&error)), (ErrorKind::Overloaded, Some(DataSourceError::RateLimited)));
    assert!(error.retry_after().is_some() && error.is_retryable());
    assert_eq!(start.elapsed(), secs(0), "nobody waited");
    assert!(read(&engine, "a").await.is_some(), "what is held needs no source");
    assert_eq!((source.total(), engine.stats(KS).unwrap().rate_limited), (2, 1));
    tokio::time::advance(millis(100)).await;
    assert!(read(&engine, "c").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn with_a_wait_a_load_has_its_turn_or_is_denied_after_it() {
    let source = Counting::default();
    let limit = RateLimit::per_second(10).with_burst(1).with_wait(millis(250));
    let engine = alone(sourced(&source).rate_limit(limit)).await;
    let start = Stopwatch::start();
    let reads = (0..5).map(|n| {
        let engine = engine.clone();
        tokio::spawn(async move { try_read(&engine, &n.to_string()).await.map_err(|error| cause(&error)) })
    });
    let read: Vec<_> = futures_util::future::join_all(reads).await.into_iter().map(Result::unwrap).collect();
    let denied = read.iter().filter(|read| **read == Err(Some(DataSourceError::RateLimited))).count();
    assert_eq!((source.total(), denied), (3, 2), "at 0, 100 and 200 ms");
    assert!(start.elapsed() <= millis(260));
}

#[tokio::test(start_paused = true)]
async fn a_batch_takes_the_turns_of_its_keys() {
    let source = Counting::default();
    let engine = alone(sourced(&source).rate_limit(RateLimit::per_second(10).with_burst(4))).await;
    assert!(engine.get_many(KS, ["a", "b", "c"]).await.unwrap().iter().all(Result::is_ok));
    let refused = engine.get_many(KS, ["d", "e", "a"]).await.unwrap();
    let causes: Vec<_> = refused.iter().map(|found| found.as_ref().err().and_then(cause)).collect();
    assert_eq!(causes, [Some(DataSourceError::RateLimited), Some(DataSourceError::RateLimited), None]);
    tokio::time::advance(secs(1)).await;
    let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    assert!(
        engine.get_many(KS, many).await.unwrap().iter().all(Result::is_ok),
        "one above the burst counts as the burst"
    );
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_by_failures_and_closes_by_a_probe() {
    let source = Counting::default();
    let breaker = BreakerConfig::source().with_consecutive_failures(3).with_open_for(secs(30));
    let engine = alone(sourced(&source).breaker(breaker)).await;
    source.break_down(true);
    for n in 0..3 {
        assert_eq!(try_read(&engine, &n.to_string()).await.unwrap_err().kind(), ErrorKind::Load);
    }
    let open = try_read(&engine, "x").await.unwrap_err();
    assert_eq!((open.kind(), cause(&open)), (ErrorKind::Unavailable, Some(DataSourceError::CircuitOpen)));
    assert!(open.retry_after().is_some_and(|after| after <= secs(30)));
    assert_eq!(source.total(), 3, "the source is left alone");
    let many = engine.get_many(KS, ["x", "y"]).await.unwrap();
    assert!(many.iter().all(|found| found.as_ref().err().and_then(cause) == Some(DataSourceError::CircuitOpen)));
    let part = engine.health().part("products: breaker").unwrap().clone();
    assert_eq!(part.condition, Condition::Degraded);

    source.break_down(false);
    tokio::time::advance(secs(31)).await;
    assert!(read(&engine, "x").await.is_some(), "the probe");
    assert!(read(&engine, "y").await.is_some());
    assert_eq!(engine.health().condition, Condition::Healthy);
}

#[tokio::test(start_paused = true)]
async fn no_such_key_and_refusals_and_leaving_open_no_breaker() {
    let source = Counting::default();
    let breaker = BreakerConfig::source().with_consecutive_failures(2).without_failure_rate();
    let limit = RateLimit::per_second(1000).with_burst(50);
    let engine = alone(sourced(&source).breaker(breaker).rate_limit(limit)).await;
    for n in 0..10 {
        assert_eq!(read(&engine, &format!("missing{n}")).await, None);
        assert_eq!(read(&engine, &format!("notfound{n}")).await, None);
        let reader = engine.clone();
        let leaves = tokio::spawn(async move { read(&reader, &format!("slow{n}")).await });
        tokio::time::sleep(millis(1)).await;
        leaves.abort();
    }
    let mut limited = 0;
    for n in 0..100 {
        match try_read(&engine, &format!("k{n}")).await {
            Ok(value) => assert!(value.is_some()),
            Err(error) => {
                assert_eq!(cause(&error), Some(DataSourceError::RateLimited));
                limited += 1;
            }
        }
    }
    assert!(limited > 0, "the limiter refused some");
    tokio::time::sleep(secs(1)).await;
    assert!(read(&engine, "after").await.is_some(), "the breaker is closed");
}

#[tokio::test(start_paused = true)]
async fn a_keyspace_overrides_the_engine() {
    let (slow, fast) = (Counting::default(), Counting::default());
    let engine = Engine::builder()
        .rate_limit(RateLimit::per_second(1))
        .without_breaker()
        .keyspace(sourced(&slow).build().unwrap())
        .keyspace(
            memstache_cluster::KeySpace::builder("fast")
                .source(fast.clone())
                .rate_limit(RateLimit::per_second(100))
                .build()
                .unwrap(),
        )
        .build()
        .unwrap();
    engine.start().await.unwrap();
    for n in 0..20 {
        let _ = try_read(&engine, &n.to_string()).await;
        engine.get("fast", n.to_string()).await.unwrap();
    }
    assert_eq!((slow.total(), fast.total()), (1, 20));
    slow.break_down(true);
    for n in 0..20 {
        tokio::time::advance(secs(1)).await;
        assert_eq!(try_read(&engine, &format!("x{n}")).await.unwrap_err().kind(), ErrorKind::Load, "no breaker");
    }
}
