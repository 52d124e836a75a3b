//! Loads behind the circuit breaker of their source.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use memstache_core::{
    Cache, Error, ErrorKind, Json, LoadContext, Result,
    resilience::{BreakerConfig, BreakerState, CircuitBreaker, ResilienceConfig},
};

use crate::kit::{Kit, kind, millis, secs, settle};

/// A source that is up, down or hangs, and counts how often it is asked.
#[derive(Clone, Default)]
struct Source {
    asked: Arc<AtomicUsize>,
    how: Arc<AtomicUsize>,
}

const UP: usize = 0;
const DOWN: usize = 1;
const HANGS: usize = 2;
const PANICS: usize = 3;

impl Source {
    fn becomes(&self, how: usize) {
        self.how.store(how, SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    async fn load(self) -> std::io::Result<u32> {
        self.asked.fetch_add(1, SeqCst);
        match self.how.load(SeqCst) {
            UP => Ok(7),
            DOWN => Err(std::io::Error::other("down")),
            HANGS => std::future::pending().await,
            _ => panic!("on purpose"),
        }
    }
}

fn setup() -> (Kit, CircuitBreaker, Source) {
    let kit = Kit::new(ResilienceConfig::none());
    let breaker = CircuitBreaker::new(BreakerConfig::source()).unwrap().with_clock(kit.clock.clone());
    (kit, breaker, Source::default())
}

fn cache(kit: &Kit, breaker: &CircuitBreaker) -> Cache<Json> {
    kit.builder(kit.stack()).source_breaker(breaker).stale_for(secs(3600)).build().unwrap()
}

async fn load(cache: &Cache<Json>, key: &str, source: &Source) -> Result<u32> {
    let source = source.clone();
    cache.get_or_load(key, move |_: LoadContext<u32>| source.load()).await
}

#[tokio::test]
async fn after_five_failures_the_source_is_left_alone_for_thirty_seconds_and_then_asked_once() {
    let (kit, breaker, source) = setup();
    let cache = cache(&kit, &breaker);
    source.becomes(DOWN);
    for n in 0..5 {
        assert_eq!(kind(load(&cache, &n.to_string(), &source).await), ErrorKind::Load);
    }
    let refused = load(&cache, "other", &source).await.unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after()), (ErrorKind::Unavailable, Some(secs(30))));
    assert_eq!((source.asked(), cache.stats().loads, cache.stats().load_failures), (5, 5, 5));
    settle().await;
    kit.clock.advance(secs(30));
    assert_eq!(kind(load(&cache, "other", &source).await), ErrorKind::Load, "the probe");
    assert_eq!(kind(load(&cache, "other", &source).await), ErrorKind::Unavailable);
    assert_eq!(source.asked(), 6);
    source.becomes(UP);
    kit.clock.advance(secs(30));
    assert_eq!(load(&cache, "other", &source).await.unwrap(), 7);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn while_it_is_open_stale_values_are_served_and_nobody_waits() {
    let (kit, breaker, source) = setup();
    let cache = cache(&kit, &breaker);
    assert_eq!(load(&cache, "a", &source).await.unwrap(), 7);
    source.becomes(DOWN);
    for n in 0..5 {
        assert!(load(&cache, &n.to_string(), &source).await.is_err());
    }
    kit.clock.advance(secs(61));
    for _ in 0..20 {
        assert_eq!(load(&cache, "a", &source).await.unwrap(), 7);
        kit.pass_by(millis(1_000), millis(100)).await;
    }
    assert_eq!(source.asked(), 7, "one load, five that failed, and one probe");
    assert_eq!((cache.stats().stale, breaker.state()), (20, BreakerState::Open));
}

#[tokio::test]
async fn the_absence_of_a_key_and_a_caller_who_leaves_are_no_failures() {
    let (kit, breaker, source) = setup();
    let cache = cache(&kit, &breaker);
    for n in 0..20 {
        let none = |_: LoadContext<u32>| async { Ok::<_, Error>(None::<u32>) };
        assert_eq!(cache.get_or_load(n.to_string(), none).optional().await.unwrap(), None);
    }
    source.becomes(HANGS);
    for n in 0..20 {
        let (cache, source) = (cache.clone(), source.clone());
        let call = tokio::spawn(async move { load(&cache, &n.to_string(), &source).await });
        settle().await;
        call.abort();
    }
    settle().await;
    assert_eq!((breaker.state(), breaker.snapshot().consecutive_failures), (BreakerState::Closed, 0));
    // The loads go on for those who may still come, and then run out of time.
    kit.pass_by(secs(31), secs(1)).await;
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test]
async fn a_source_that_lets_everybody_wait_too_long_fails_and_one_that_panics() {
    let (kit, breaker, source) = setup();
    let cache = kit.builder(kit.stack()).source_breaker(&breaker).hard_timeout(millis(500)).build().unwrap();
    source.becomes(PANICS);
    for n in 0..2 {
        assert_eq!(kind(load(&cache, &n.to_string(), &source).await), ErrorKind::LoadPanicked);
    }
    source.becomes(HANGS);
    for n in 0..3 {
        let (cache, source) = (cache.clone(), source.clone());
        let call = tokio::spawn(async move { load(&cache, &n.to_string(), &source).await });
        kit.pass_by(millis(500), millis(100)).await;
        assert_eq!(kind(call.await.unwrap()), ErrorKind::Timeout);
    }
    settle().await;
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test]
async fn a_batch_is_one_call_of_the_source() {
    let (kit, breaker, source) = setup();
    let cache = cache(&kit, &breaker);
    let many = |cache: &Cache<Json>, keys: [&'static str; 3]| {
        let (cache, source) = (cache.clone(), source.clone());
        async move {
            let loader = move |keys: Vec<&'static str>| {
                let source = source.clone();
                async move {
                    let value = source.load().await?;
                    Ok::<_, std::io::Error>(keys.into_iter().map(|key| (key, value)).collect::<Vec<_>>())
                }
            };
            cache.get_many_or_load(keys, loader).await.unwrap()
        }
    };
    source.becomes(DOWN);
    for _ in 0..5 {
        let kinds: Vec<_> = many(&cache, ["a", "b", "c"]).await.into_iter().map(kind).collect();
        assert_eq!(kinds, [ErrorKind::Load; 3]);
    }
    let kinds: Vec<_> = many(&cache, ["a", "b", "c"]).await.into_iter().map(kind).collect();
    assert_eq!((kinds, source.asked()), (vec![ErrorKind::Unavailable; 3], 5));
    source.becomes(UP);
    settle().await;
    kit.clock.advance(secs(30));
    let values: Vec<_> = many(&cache, ["a", "b", "c"]).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(values, [Some(7); 3]);
}

#[tokio::test]
async fn caches_of_one_source_share_its_breaker_and_a_call_may_have_its_own() {
    let (kit, breaker, source) = setup();
    let (one, other) = (cache(&kit, &breaker), kit.cache());
    source.becomes(DOWN);
    for n in 0..5 {
        assert!(load(&one, &n.to_string(), &source).await.is_err());
    }
    source.becomes(UP);
    assert_eq!(load(&other, "mine", &source).await.unwrap(), 7, "has no breaker");
    let again = source.clone();
    let call = other.get_or_load("ours", move |_: LoadContext<u32>| again.load()).source_breaker(&breaker);
    assert_eq!(kind(call.await), ErrorKind::Unavailable);
    let again = source.clone();
    let loader = move |keys: Vec<&'static str>| {
        let source = again.clone();
        async move { source.load().await.map(|value| keys.into_iter().map(|key| (key, value)).collect::<Vec<_>>()) }
    };
    let many = other.get_many_or_load(["ours"], loader).source_breaker(&breaker).await.unwrap();
    assert_eq!(many.into_iter().map(kind).collect::<Vec<_>>(), [ErrorKind::Unavailable]);
}

#[tokio::test]
async fn a_load_that_was_refused_leaves_the_key_to_the_next_and_is_not_remembered() {
    let (kit, breaker, source) = setup();
    let cache =
        kit.builder(kit.stack()).source_breaker(&breaker).error_backoff(secs(3600), secs(3600)).build().unwrap();
    source.becomes(DOWN);
    for n in 0..5 {
        assert!(load(&cache, &n.to_string(), &source).await.is_err());
    }
    assert_eq!(kind(load(&cache, "a", &source).await), ErrorKind::Unavailable);
    source.becomes(UP);
    settle().await;
    kit.clock.advance(secs(30));
    assert_eq!(load(&cache, "a", &source).await.unwrap(), 7);
}

#[tokio::test]
async fn a_breaker_that_is_probed_apart_is_refused() {
    let kit = Kit::new(ResilienceConfig::none());
    let leaf = CircuitBreaker::new(BreakerConfig::leaf()).unwrap();
    let limit = "source_breaker must be probed by requests, but one that is probed apart was given";
    let error = kit.builder(kit.stack()).source_breaker(&leaf).build().unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, limit));
    let source = Source::default();
    let call = kit.cache();
    let call = call.get_or_load("a", move |_: LoadContext<u32>| source.load()).source_breaker(&leaf).await;
    assert_eq!(call.unwrap_err().to_string(), limit);
}

/// Loads `outer` by loading `inner` from another cache of the same source, with a cache that has no breaker in between.
async fn nested(caches: &[Cache<Json>; 3], source: &Source, keys: &'static str) -> Result<u32> {
    let [outer, middle, inner] = caches.clone();
    let source = source.clone();
    let loader = move |_: LoadContext<u32>| async move {
        middle
            .get_or_load(keys, move |_: LoadContext<u32>| async move {
                inner.get_or_load(keys, move |_: LoadContext<u32>| source.load()).await
            })
            .await
    };
    outer.get_or_load(keys, loader).await
}

#[tokio::test]
async fn a_load_within_a_load_is_a_part_of_it_so_that_the_probe_can_succeed() {
    let (kit, breaker, source) = setup();
    let space = |name: &str| kit.builder(kit.stack()).keyspace(name);
    let caches = [
        space("outer").source_breaker(&breaker).build().unwrap(),
        space("middle").build().unwrap(),
        space("inner").source_breaker(&breaker).build().unwrap(),
    ];
    source.becomes(DOWN);
    for n in ["1", "2", "3", "4"] {
        assert_eq!(kind(nested(&caches, &source, n).await), ErrorKind::Load);
    }
    assert_eq!(breaker.snapshot().consecutive_failures, 4, "counted once");
    assert_eq!(kind(nested(&caches, &source, "5").await), ErrorKind::Load);
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(kind(nested(&caches, &source, "6").await), ErrorKind::Unavailable);
    source.becomes(UP);
    settle().await;
    kit.clock.advance(secs(30));
    assert_eq!(nested(&caches, &source, "7").await.unwrap(), 7);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_batch_within_a_batch_is_a_part_of_it() {
    let (kit, breaker, source) = setup();
    let [outer, inner] = ["outer", "inner"]
        .map(|name| kit.builder(kit.stack()).keyspace(name).source_breaker(&breaker).build().unwrap());
    source.becomes(DOWN);
    for n in 0..5 {
        assert!(load(&outer, &n.to_string(), &source).await.is_err());
    }
    source.becomes(UP);
    settle().await;
    kit.clock.advance(secs(30));
    let again = source.clone();
    let loader = move |keys: Vec<&'static str>| {
        let (inner, source) = (inner.clone(), again.clone());
        async move {
            let loader = move |keys: Vec<&'static str>| {
                let source = source.clone();
                async move { source.load().await.map(|it| keys.into_iter().map(|key| (key, it)).collect::<Vec<_>>()) }
            };
            let values = inner.get_many_or_load(keys.clone(), loader).await?;
            let values: Vec<Option<u32>> = values.into_iter().collect::<Result<_>>()?;
            Ok::<_, Error>(keys.into_iter().zip(values.into_iter().flatten()).collect::<Vec<_>>())
        }
    };
    let values: Vec<Option<u32>> =
        outer.get_many_or_load(["x", "y"], loader).await.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!((values, breaker.state()), (vec![Some(7); 2], BreakerState::Closed));
}

#[tokio::test]
async fn a_loader_that_says_there_is_no_such_key_by_an_error_opens_nothing() {
    let (kit, breaker, _) = setup();
    let cache = cache(&kit, &breaker);
    for n in 0..20 {
        let none = |_: LoadContext<u32>| async { Err::<u32, _>(Error::new(ErrorKind::NotFound, "no such row")) };
        assert_eq!(kind(cache.get_or_load(n.to_string(), none).await), ErrorKind::Load);
    }
    assert_eq!((breaker.state(), breaker.snapshot().consecutive_failures), (BreakerState::Closed, 0));
}

#[tokio::test]
async fn numbers_that_are_none_are_no_panic() {
    let kit = Kit::new(ResilienceConfig::none());
    let cache = kit.builder(kit.stack()).random(|| f64::NAN).jitter(0.5).early_refresh(2.0).build().unwrap();
    let source = Source::default();
    for _ in 0..3 {
        assert_eq!(load(&cache, "a", &source).await.unwrap(), 7);
        kit.clock.advance(secs(20));
    }
    cache.set("b", &1).await.unwrap();
    assert_eq!(cache.get::<u32>("b").await.unwrap(), Some(1));
}
