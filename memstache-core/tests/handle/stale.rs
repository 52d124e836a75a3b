//! Values in their grace: served while one caller refreshes, and when the source fails.

use memstache_core::{Cache, ErrorKind, Json, Outcome};

use crate::kit::{Brought, Failed, Kit, Source, ask, ask_many, kind, millis, rules, secs, settle, values};

/// A handle with a value that is stale since a second and has 59 of its grace left.
async fn with_stale(kit: &Kit) -> Cache<Json> {
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(60)).build().unwrap();
    cache.set("a", &1).tags(["t"]).await.unwrap();
    kit.pass(secs(11)).await;
    cache
}

pub(crate) async fn without_soft_timeout_everybody_gets_the_stale_value_while_one_refreshes(kit: Kit) {
    let (cache, source) = (with_stale(&kit).await, Source::gated());
    for _ in 0..10 {
        assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    }
    settle().await;
    assert_eq!((source.loads(), cache.loads_in_flight(), cache.stats().stale), (1, 1, 10));
    source.gate.open();
    settle().await;
    assert_eq!(ask(&cache, "a", source.brings(3)).await.unwrap().unwrap(), 2);
    assert_eq!((source.loads(), cache.stats().hits), (1, 1));
}

pub(crate) async fn a_plain_get_takes_no_stale_value_and_get_entry_does(kit: Kit) {
    let cache = with_stale(&kit).await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None);
    assert!(!cache.exists("a").await.unwrap());
    let entry = cache.get_entry::<u32>("a").await.unwrap();
    assert_eq!((entry.value, entry.outcome), (Some(1), Outcome::Stale));
    assert_eq!((entry.age, entry.ttl_left), (secs(11), Some(secs(0))));
    assert_eq!(cache.read().allow_stale().get::<u32>("a").await.unwrap(), Some(1));
    assert_eq!((cache.stats().misses, cache.stats().stale), (1, 2));
}

pub(crate) async fn within_the_soft_timeout_the_refreshing_caller_gets_the_new_value(kit: Kit) {
    let (cache, source) = (with_stale(&kit).await, Source::gated());
    let caller = tokio::spawn({
        let (cache, loader) = (cache.clone(), source.brings(2));
        async move { cache.get_or_load("a", loader).soft_timeout(secs(5)).entry().await }
    });
    kit.pass(secs(4)).await;
    assert!(!caller.is_finished());
    source.gate.open();
    let fetched = caller.await.unwrap().unwrap();
    assert_eq!((fetched.value, fetched.outcome, fetched.ttl_left), (Some(2), Outcome::Miss, Some(secs(10))));
}

pub(crate) async fn past_the_soft_timeout_the_stale_value_is_served_and_the_load_goes_on(kit: Kit) {
    let (cache, source) = (with_stale(&kit).await, Source::gated());
    let caller = tokio::spawn({
        let (cache, loader) = (cache.clone(), source.brings(2));
        async move { cache.get_or_load("a", loader).soft_timeout(secs(5)).await }
    });
    kit.pass(millis(4_999)).await;
    assert!(!caller.is_finished());
    kit.pass(millis(1)).await;
    assert_eq!(caller.await.unwrap().unwrap(), 1);
    assert_eq!(cache.loads_in_flight(), 1);
    source.gate.open();
    settle().await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(2));
    assert_eq!(cache.stats().stale, 1);
}

pub(crate) async fn the_soft_timeout_ends_with_the_calls_own_timeout(kit: Kit) {
    let (cache, source) = (with_stale(&kit).await, Source::gated());
    let caller = tokio::spawn({
        let (cache, loader) = (cache.clone(), source.brings(2));
        async move { cache.get_or_load("a", loader).soft_timeout(secs(50)).timeout(secs(3)).await }
    });
    kit.pass(secs(3)).await;
    assert!(caller.is_finished(), "the timeout bounds the whole call");
    assert_eq!(caller.await.unwrap().unwrap(), 1);
}

pub(crate) async fn a_stale_value_is_not_waited_on_past_max_staleness(kit: Kit) {
    let (cache, source) = (with_stale(&kit).await, Source::gated());
    // Last confirmed when its freshness ended, a second ago.
    let caller = tokio::spawn({
        let (cache, loader) = (cache.clone(), source.brings(2));
        async move { cache.get_or_load("a", loader).soft_timeout(secs(50)).max_staleness(secs(4)).await }
    });
    kit.pass(secs(3)).await;
    assert!(caller.is_finished());
    assert_eq!(caller.await.unwrap().unwrap(), 1);
    kit.pass(secs(2)).await;
    let entry = cache.read().allow_stale().max_staleness(secs(4)).get_entry::<u32>("a").await.unwrap();
    assert_eq!(entry.value, None, "older than that");
    assert_eq!(cache.loads_in_flight(), 1);
}

pub(crate) async fn a_failed_refresh_within_the_soft_timeout_serves_stale(kit: Kit) {
    let (cache, source) = (with_stale(&kit).await, Source::open());
    let fetched = cache.get_or_load("a", source.fails()).soft_timeout(secs(5)).entry().await.unwrap();
    assert_eq!((fetched.value, fetched.outcome), (Some(1), Outcome::Stale));
    assert_eq!((cache.stats().load_failures, cache.stats().errors), (1, 0));
}

pub(crate) async fn a_failed_refresh_gives_the_source_a_pause_and_serves_stale_meanwhile(kit: Kit) {
    // The pause is longer than the leases of the stores: it is renewed.
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(100)).refresh_pause(secs(40)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(11)).await;
    let source = Source::open();
    let mut loads = Vec::new();
    for _ in 0..80 {
        assert_eq!(ask(&cache, "a", source.fails()).await.unwrap().unwrap(), 1);
        kit.pass(secs(1)).await;
        loads.push(source.loads());
    }
    let tried_at = |count: usize| loads.iter().position(|loads| *loads == count);
    assert_eq!((tried_at(1), tried_at(2)), (Some(0), Some(40)), "{loads:?}");
    assert_eq!((source.loads(), cache.stats().stale), (2, 80));
}

pub(crate) async fn a_panicking_refresh_gives_the_source_a_pause_too(kit: Kit) {
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(100)).refresh_pause(secs(20)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(11)).await;
    let source = Source::open();
    for _ in 0..20 {
        assert_eq!(ask(&cache, "a", source.panics()).await.unwrap().unwrap(), 1);
        kit.pass(secs(1)).await;
    }
    assert_eq!(source.loads(), 1);
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(2));
}

pub(crate) async fn a_batch_gives_the_source_a_pause_too(kit: Kit) {
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(100)).refresh_pause(secs(20)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(11)).await;
    let source = Source::open();
    for _ in 0..20 {
        let load = source.clone();
        let loader = move |_| {
            let load = load.clone();
            Box::pin(async move {
                load.load().await;
                Err(Failed(7))
            }) as Brought<_>
        };
        assert_eq!(values(ask_many(&cache, &["a"], loader).await.unwrap()), [Some(1)]);
        kit.pass(secs(1)).await;
    }
    assert_eq!(source.loads(), 1);
}

pub(crate) async fn after_the_grace_a_failed_load_is_an_error(kit: Kit) {
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(5)).refresh_pause(secs(1)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    let source = Source::open();
    kit.pass(millis(14_999)).await;
    assert_eq!(ask(&cache, "a", source.fails()).await.unwrap().unwrap(), 1);
    kit.pass(millis(1)).await;
    assert_eq!(kind(ask(&cache, "a", source.fails()).await.unwrap()), ErrorKind::Load);
}

pub(crate) async fn the_pause_ends_with_the_grace(kit: Kit) {
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(5)).refresh_pause(secs(3600)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(14)).await;
    let source = Source::open();
    assert_eq!(ask(&cache, "a", source.fails()).await.unwrap().unwrap(), 1);
    kit.pass(secs(1)).await;
    let next = ask(&cache, "a", source.brings(2));
    settle().await;
    assert!(next.is_finished(), "nobody waits for a pause without a value to serve");
    assert_eq!(next.await.unwrap().unwrap(), 2);
}

pub(crate) async fn a_removal_ends_the_pause(kit: Kit) {
    let (cache, source) = (with_stale(&kit).await, Source::open());
    assert_eq!(ask(&cache, "a", source.fails()).await.unwrap().unwrap(), 1);
    settle().await;
    cache.remove("a").await.unwrap();
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 2);
}

pub(crate) async fn a_refresh_whose_caller_left_goes_on(kit: Kit) {
    let (cache, source) = (with_stale(&kit).await, Source::gated());
    let caller = tokio::spawn({
        let (cache, loader) = (cache.clone(), source.brings(2));
        async move { cache.get_or_load("a", loader).soft_timeout(secs(5)).await }
    });
    settle().await;
    caller.abort();
    source.gate.open();
    settle().await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(2));
}

pub(crate) async fn a_stale_value_that_the_source_no_longer_has_is_not_served_again(kit: Kit) {
    let (cache, source) = (with_stale(&kit).await, Source::open());
    let gone = cache.get_or_load("a", source.brings(None::<u32>)).soft_timeout(secs(5)).optional().await.unwrap();
    assert_eq!(gone, None);
    kit.pass(millis(1)).await;
    assert_eq!(cache.get_entry::<u32>("a").await.unwrap().value, None);
    assert_eq!(ask(&cache, "a", source.brings(3)).await.unwrap().unwrap(), 3, "nor is its absence remembered");
}

pub(crate) async fn an_invalidated_stale_value_is_not_served(kit: Kit) {
    let (cache, source) = (with_stale(&kit).await, Source::open());
    cache.invalidate_tag("t").await.unwrap();
    assert_eq!(cache.get_entry::<u32>("a").await.unwrap().value, None);
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 2);
}

rules! {
    every stack:
    without_soft_timeout_everybody_gets_the_stale_value_while_one_refreshes,
    a_plain_get_takes_no_stale_value_and_get_entry_does,
    within_the_soft_timeout_the_refreshing_caller_gets_the_new_value,
    past_the_soft_timeout_the_stale_value_is_served_and_the_load_goes_on,
    the_soft_timeout_ends_with_the_calls_own_timeout,
    a_stale_value_is_not_waited_on_past_max_staleness,
    a_failed_refresh_within_the_soft_timeout_serves_stale,
    a_failed_refresh_gives_the_source_a_pause_and_serves_stale_meanwhile,
    a_panicking_refresh_gives_the_source_a_pause_too,
    a_batch_gives_the_source_a_pause_too,
    after_the_grace_a_failed_load_is_an_error,
    the_pause_ends_with_the_grace,
    a_removal_ends_the_pause,
    a_refresh_whose_caller_left_goes_on,
    a_stale_value_that_the_source_no_longer_has_is_not_served_again,
    an_invalidated_stale_value_is_not_served,
}
