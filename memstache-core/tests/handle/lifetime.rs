//! Whose lifetime counts, and what it means.

use std::time::{Duration, SystemTime};

use memstache_core::{Cache, Clock, ErrorKind, Json, Outcome};

use crate::kit::{Kit, Source, ask, kind, millis, rules, secs, settle};

async fn left(cache: &Cache<Json>, key: &str) -> Option<Duration> {
    let entry = cache.read().authority().get_entry::<u32>(key).await.unwrap();
    assert_eq!(entry.outcome, Outcome::Hit);
    entry.ttl_left
}

pub(crate) async fn without_any_ttl_a_value_has_no_end(kit: Kit) {
    let (cache, source) = (kit.builder().build().unwrap(), Source::open());
    assert_eq!(ask(&cache, "a", source.brings(1)).await.unwrap().unwrap(), 1);
    assert_eq!(left(&cache, "a").await, None);
}

pub(crate) async fn the_caches_ttl_is_the_default(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    assert_eq!(ask(&cache, "a", source.brings(1)).await.unwrap().unwrap(), 1);
    assert_eq!(left(&cache, "a").await, Some(secs(60)));
    cache.set("b", &1).await.unwrap();
    assert_eq!(left(&cache, "b").await, Some(secs(60)));
}

pub(crate) async fn the_calls_ttl_beats_the_caches(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    assert_eq!(cache.get_or_load("a", source.brings(1)).ttl(secs(20)).await.unwrap(), 1);
    assert_eq!(left(&cache, "a").await, Some(secs(20)));
    cache.set("b", &1).ttl(secs(600)).await.unwrap();
    assert_eq!(left(&cache, "b").await, Some(secs(600)));
}

pub(crate) async fn the_loaded_values_ttl_beats_the_calls(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    let loader = source.answers(|context| Ok(context.store(1).ttl(secs(5))));
    let fetched = cache.get_or_load("a", loader).ttl(secs(20)).entry().await.unwrap();
    assert_eq!((fetched.ttl_left, left(&cache, "a").await), (Some(secs(5)), Some(secs(5))));
}

pub(crate) async fn the_loaded_values_stale_for_and_sliding_beat_the_calls(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    let loader = source.answers(|context| Ok(context.store(1).sliding(secs(5)).stale_for(secs(3))));
    assert_eq!(cache.get_or_load("a", loader).sliding(secs(50)).stale_for(secs(30)).await.unwrap(), 1);
    assert_eq!(left(&cache, "a").await, Some(secs(5)));
    kit.pass(millis(7_999)).await;
    assert_eq!(cache.get_entry::<u32>("a").await.unwrap().outcome, Outcome::Stale);
    kit.pass(millis(1)).await;
    assert_eq!(cache.get_entry::<u32>("a").await.unwrap().outcome, Outcome::Miss);
}

pub(crate) async fn expires_at_becomes_a_ttl(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    cache.set("a", &1).expires_at(kit.clock.wall() + secs(42)).await.unwrap();
    assert_eq!(left(&cache, "a").await, Some(secs(42)));
    let until = kit.clock.wall() + secs(7);
    let loader = source.answers(move |context| Ok(context.store(1).expires_at(until)));
    assert_eq!(cache.get_or_load("b", loader).await.unwrap(), 1);
    assert_eq!(left(&cache, "b").await, Some(secs(7)));
    kit.pass(secs(7)).await;
    assert_eq!(cache.get::<u32>("b").await.unwrap(), None);
}

pub(crate) async fn a_value_whose_end_came_while_it_was_loaded_is_answered_and_not_stored(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let caller = tokio::spawn({
        let (cache, loader, until) = (cache.clone(), source.brings(7), kit.clock.wall() + secs(5));
        async move { cache.get_or_load("a", loader).expires_at(until).await }
    });
    kit.pass(secs(6)).await;
    source.gate.open();
    assert_eq!(caller.await.unwrap().unwrap(), 7);
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None);
    assert_eq!(cache.stats().load_failures, 0);
    kit.assert_no_lease("a").await;
}

pub(crate) async fn a_past_expires_at_is_refused(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    for past in [SystemTime::UNIX_EPOCH, kit.clock.wall()] {
        let error = cache.set("a", &1).expires_at(past).await.unwrap_err();
        assert_eq!(error.to_string(), "expires_at must be in the future, but a past instant was given");
        assert_eq!(kind(cache.get_or_load("a", source.brings(1)).expires_at(past).await), ErrorKind::Invalid);
    }
    assert_eq!(source.loads(), 0);
    kit.recorder.assert_quiet();
}

pub(crate) async fn jitter_only_shortens(kit: Kit) {
    // The kit draws 0.5.
    let cache = kit.builder().ttl(secs(100)).jitter(0.2).build().unwrap();
    cache.set("a", &1).await.unwrap();
    assert_eq!(left(&cache, "a").await, Some(secs(90)));
    cache.set("b", &1).jitter(1.0).await.unwrap();
    assert_eq!(left(&cache, "b").await, Some(secs(50)));
    cache.set("c", &1).jitter(0.0).await.unwrap();
    assert_eq!(left(&cache, "c").await, Some(secs(100)));
    for (draw, ttl) in [(0.0, millis(100_000)), (0.999, millis(80_020))] {
        let cache = kit.builder().ttl(secs(100)).jitter(0.2).random(move || draw).build().unwrap();
        cache.set("d", &1).await.unwrap();
        assert_eq!(left(&cache, "d").await, Some(ttl));
    }
}

pub(crate) async fn sliding_is_extended_by_reads_and_never_past_the_ttl(kit: Kit) {
    let cache = kit.builder().ttl(secs(25)).sliding(secs(10)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    for _ in 0..3 {
        kit.pass(secs(8)).await;
        assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(1));
        settle().await;
    }
    kit.pass(secs(1)).await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None, "the ttl is the end");
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(10)).await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None, "not read for its window");
}

pub(crate) async fn touch_extends_a_sliding_value_and_touch_ttl_gives_a_new_end(kit: Kit) {
    let cache = kit.cache();
    cache.set("a", &1).sliding(secs(10)).await.unwrap();
    kit.pass(secs(8)).await;
    assert!(cache.touch("a").await.unwrap());
    assert_eq!(left(&cache, "a").await, Some(secs(10)));
    assert!(cache.touch_ttl("a", secs(300)).await.unwrap());
    assert_eq!(left(&cache, "a").await, Some(secs(300)));
    assert!(!cache.touch("b").await.unwrap());
    assert!(!cache.touch_ttl("b", secs(300)).await.unwrap());
}

pub(crate) async fn exists_extends_nothing(kit: Kit) {
    let cache = kit.cache();
    cache.set("a", &1).sliding(secs(10)).await.unwrap();
    kit.pass(secs(8)).await;
    assert!(cache.exists("a").await.unwrap());
    kit.pass(secs(2)).await;
    assert!(!cache.exists("a").await.unwrap());
    assert_eq!(cache.stats().requests, 0, "nor is it counted");
}

pub(crate) async fn conditions_of_a_write_hold(kit: Kit) {
    use memstache_core::{Version, Written};
    let cache = kit.cache();
    assert_eq!(cache.set("a", &1).if_present().await.unwrap(), Written::Refused);
    let Written::Stored(version) = cache.set("a", &1).if_absent().await.unwrap() else { panic!("it was absent") };
    assert_eq!(cache.set("a", &2).if_absent().await.unwrap(), Written::Refused);
    assert_eq!(cache.set("a", &2).if_version(Version(version.0 + 1)).await.unwrap(), Written::Refused);
    assert!(matches!(cache.set("a", &2).if_version(version).await.unwrap(), Written::Stored(later) if later > version));
    assert!(matches!(cache.set("a", &3).if_present().await.unwrap(), Written::Stored(_)));
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(3));
}

pub(crate) async fn max_staleness_of_the_cache_cannot_be_raised_by_a_call(kit: Kit) {
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(100)).max_staleness(secs(5)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(14)).await;
    let read = || cache.read().allow_stale().max_staleness(secs(50));
    assert_eq!(read().get::<u32>("a").await.unwrap(), Some(1));
    kit.pass(secs(2)).await;
    assert_eq!(read().get::<u32>("a").await.unwrap(), None);
}

rules! {
    every stack:
    without_any_ttl_a_value_has_no_end,
    the_caches_ttl_is_the_default,
    the_calls_ttl_beats_the_caches,
    the_loaded_values_ttl_beats_the_calls,
    the_loaded_values_stale_for_and_sliding_beat_the_calls,
    expires_at_becomes_a_ttl,
    a_value_whose_end_came_while_it_was_loaded_is_answered_and_not_stored,
    a_past_expires_at_is_refused,
    jitter_only_shortens,
    sliding_is_extended_by_reads_and_never_past_the_ttl,
    touch_extends_a_sliding_value_and_touch_ttl_gives_a_new_end,
    exists_extends_nothing,
    conditions_of_a_write_hold,
    max_staleness_of_the_cache_cannot_be_raised_by_a_call,
}
