//! Hard timeouts, the call's own, and what becomes of the load.

use std::time::Duration;

use futures_util::FutureExt;
use memstache_core::{Cache, ErrorKind, Json, Result};
use tokio::task::JoinHandle;

use crate::kit::{Kit, Source, ask, kind, millis, rules, secs, settle};

fn ask_within(cache: &Cache<Json>, source: &Source, hard: Duration, keep: bool) -> JoinHandle<Result<u32>> {
    let (cache, loader) = (cache.clone(), source.brings(7));
    tokio::spawn(async move { cache.get_or_load("a", loader).hard_timeout(hard).keep_loading(keep).await })
}

pub(crate) async fn a_load_is_stopped_when_its_last_caller_ran_into_the_hard_timeout(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let callers: Vec<_> = (0..3).map(|_| ask_within(&cache, &source, secs(5), false)).collect();
    kit.pass(millis(4_999)).await;
    assert_eq!(cache.loads_in_flight(), 1);
    kit.pass(millis(1)).await;
    for caller in callers {
        assert_eq!(kind(caller.await.unwrap()), ErrorKind::Timeout);
    }
    settle().await;
    assert_eq!((cache.loads_in_flight(), source.gate.waiting()), (0, 0), "the loader was dropped");
    kit.assert_no_lease("a").await;
    source.gate.open();
    assert_eq!(ask(&cache, "a", source.brings(8)).await.unwrap().unwrap(), 8);
}

pub(crate) async fn a_load_goes_on_past_the_hard_timeout_if_asked(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let caller = ask_within(&cache, &source, secs(5), true);
    kit.pass(secs(5)).await;
    assert_eq!(kind(caller.await.unwrap()), ErrorKind::Timeout);
    assert_eq!(cache.loads_in_flight(), 1);
    source.gate.open();
    settle().await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(7));
}

pub(crate) async fn one_callers_hard_timeout_does_not_touch_the_others(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let patient = ask_within(&cache, &source, secs(25), false);
    let hasty: Vec<_> = (0..5).map(|_| ask_within(&cache, &source, secs(5), false)).collect();
    kit.pass(secs(5)).await;
    for caller in hasty {
        assert_eq!(kind(caller.await.unwrap()), ErrorKind::Timeout);
    }
    assert!(!patient.is_finished());
    source.gate.open();
    assert_eq!(patient.await.unwrap().unwrap(), 7);
    assert_eq!(source.loads(), 1);
}

pub(crate) async fn who_joins_as_the_last_caller_gives_up_gets_the_value(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let mut hasty =
        cache.get_or_load::<u32, _, _, _, _, _>("a", source.brings(7)).hard_timeout(millis(5)).into_future();
    assert!((&mut hasty).now_or_never().is_none());
    settle().await;
    kit.clock.advance(millis(5));
    // The load is told to stop, and has not run since: the next caller is first.
    assert_eq!(kind(hasty.now_or_never().unwrap()), ErrorKind::Timeout);
    let mut late = cache.get_or_load::<u32, _, _, _, _, _>("a", source.brings(8)).hard_timeout(secs(20)).into_future();
    assert!((&mut late).now_or_never().is_none());
    settle().await;
    source.gate.open();
    assert_eq!(late.await.unwrap(), 7);
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 0));
}

pub(crate) async fn the_calls_own_timeout_bounds_the_wait_for_a_load(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let caller = tokio::spawn({
        let (cache, loader) = (cache.clone(), source.brings(7));
        async move { cache.get_or_load("a", loader).timeout(secs(3)).keep_loading(true).await }
    });
    kit.pass(millis(2_999)).await;
    assert!(!caller.is_finished());
    kit.pass(millis(1)).await;
    assert_eq!(kind(caller.await.unwrap()), ErrorKind::Timeout);
    assert_eq!(cache.loads_in_flight(), 1);
}

pub(crate) async fn the_wait_at_the_store_for_another_handles_load_is_bounded(kit: Kit) {
    let (here, there, source) = (kit.cache(), kit.other_cache(), Source::gated());
    let first = ask(&here, "a", source.brings(7));
    settle().await;
    let second = ask_within(&there, &source, secs(5), false);
    kit.pass(secs(4)).await;
    assert!(!second.is_finished());
    kit.pass(secs(1)).await;
    assert_eq!(kind(second.await.unwrap()), ErrorKind::Timeout);
    source.gate.open();
    assert_eq!(first.await.unwrap().unwrap(), 7);
}

pub(crate) async fn the_hard_timeout_bounds_a_store_that_hangs(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    kit.hang(&["get"]);
    let caller = ask_within(&cache, &source, millis(100), false);
    kit.pass(millis(100)).await;
    assert!(caller.is_finished(), "although the store has two seconds");
    assert_eq!(kind(caller.await.unwrap()), ErrorKind::Timeout);
    assert_eq!(source.loads(), 0);
}

pub(crate) async fn a_batch_keeps_the_hard_timeout_over_a_store_that_hangs(kit: Kit) {
    let cache = kit.cache();
    kit.hang(&["get"]);
    let loader = Source::open().brings_each(|_| 7);
    let caller = tokio::spawn(async move {
        cache.get_many_or_load::<u32, _, _, _, _, _, _>(["a", "b"], loader).hard_timeout(millis(100)).await
    });
    kit.pass(millis(100)).await;
    assert!(caller.is_finished());
    let answers = caller.await.unwrap().unwrap();
    assert!(answers.into_iter().all(|answer| kind(answer) == ErrorKind::Timeout));
}

pub(crate) async fn a_batchs_hard_timeout_stops_the_load_of_the_keys_that_nobody_waits_for(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let batch = tokio::spawn({
        let (cache, loader) = (cache.clone(), source.brings_each(|_| 1));
        async move { cache.get_many_or_load::<u32, _, _, _, _, _, _>(["a", "b"], loader).hard_timeout(secs(5)).await }
    });
    settle().await;
    let patient = ask_within(&cache, &source, secs(25), false);
    kit.pass(secs(5)).await;
    let answers = batch.await.unwrap().unwrap();
    assert!(answers.into_iter().all(|answer| kind(answer) == ErrorKind::Timeout));
    assert!(!patient.is_finished(), "somebody waits for one of the keys, and the load goes on");
    source.gate.open();
    assert_eq!(patient.await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!(cache.get::<u32>("b").await.unwrap(), Some(1), "so the other is stored too");
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 0));
}

rules! {
    every stack:
    a_load_is_stopped_when_its_last_caller_ran_into_the_hard_timeout,
    a_load_goes_on_past_the_hard_timeout_if_asked,
    one_callers_hard_timeout_does_not_touch_the_others,
    who_joins_as_the_last_caller_gives_up_gets_the_value,
    the_calls_own_timeout_bounds_the_wait_for_a_load,
    the_wait_at_the_store_for_another_handles_load_is_bounded,
    the_hard_timeout_bounds_a_store_that_hangs,
    a_batch_keeps_the_hard_timeout_over_a_store_that_hangs,
    a_batchs_hard_timeout_stops_the_load_of_the_keys_that_nobody_waits_for,
}
