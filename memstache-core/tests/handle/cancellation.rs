//! A future dropped at any await leaks nothing and fails nobody else.

use std::{future::Future, pin::Pin, sync::atomic::Ordering::SeqCst, task::Poll};

use memstache_core::{Cache, Json};

use crate::kit::{Kit, Source, ask, ask_many, rules, secs, settle, values};

/// Polls a future so many times, with everybody running in between, then drops it. Returns whether it was ready.
async fn poll_then_drop<F: Future>(future: F, times: usize, mut between: impl AsyncFnMut(usize)) -> bool {
    let mut future: Pin<Box<F>> = Box::pin(future);
    for time in 0..times {
        let ready = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if ready {
            return true;
        }
        between(time).await;
    }
    false
}

/// Every way to be slow that the kit has: nowhere, before the store, after it, both.
fn slow(kit: &Kit, way: usize) {
    kit.yields.before.store([0, 3, 0, 3][way], SeqCst);
    kit.yields.after.store([0, 0, 3, 3][way], SeqCst);
}

/// Whatever the future held is back: no load runs, no lease stands, the next caller loads at once.
async fn assert_nothing_leaked(kit: &Kit, cache: &Cache<Json>, keys: &[&'static str]) {
    slow(kit, 0);
    settle().await;
    assert_eq!(cache.loads_in_flight(), 0);
    for key in keys {
        kit.assert_no_lease(key).await;
        cache.remove(key).await.unwrap();
        let next = ask(cache, key, Source::open().brings(9));
        settle().await;
        assert!(next.is_finished(), "the next call waits for somebody who left");
        assert_eq!(next.await.unwrap().unwrap(), 9);
    }
    let stats = cache.stats();
    let ended = stats.hits + stats.stale + stats.negative + stats.misses + stats.errors + stats.cancelled;
    assert_eq!(ended, stats.requests, "{stats:?}");
}

pub(crate) async fn get_or_load_dropped_at_any_await_leaks_nothing(kit: Kit) {
    for way in 0..4 {
        let mut finished = false;
        for times in 0..24 {
            let (cache, source) = (kit.cache(), Source::gated());
            cache.remove("a").await.unwrap();
            slow(&kit, way);
            let other = (times % 2 == 1).then(|| ask(&cache, "a", source.brings(7)));
            let call = cache.get_or_load("a", source.brings(7)).into_future();
            finished = poll_then_drop(call, times, async |time| {
                tokio::task::yield_now().await;
                if time == 16 {
                    source.gate.open();
                    settle().await;
                }
            })
            .await;
            source.gate.open();
            if let Some(other) = other {
                assert_eq!(other.await.unwrap().unwrap(), 7, "nobody else fails");
            }
            assert!(source.loads() <= 1);
            assert_nothing_leaked(&kit, &cache, &["a"]).await;
        }
        assert!(finished, "the last was polled to its end");
    }
}

pub(crate) async fn a_refresh_dropped_at_any_await_leaks_nothing(kit: Kit) {
    for way in 0..4 {
        for times in 0..16 {
            let cache = kit.builder().ttl(secs(10)).stale_for(secs(60)).build().unwrap();
            cache.set("a", &1).await.unwrap();
            kit.pass(secs(11)).await;
            slow(&kit, way);
            let source = Source::gated();
            let call = cache.get_or_load("a", source.brings(7)).soft_timeout(secs(5)).into_future();
            poll_then_drop(call, times, async |_| tokio::task::yield_now().await).await;
            source.gate.open();
            settle().await;
            slow(&kit, 0);
            // Either it was refreshed, or the next caller may refresh at once.
            let next = cache.get_or_load("a", Source::open().brings(8)).soft_timeout(secs(5)).await.unwrap();
            assert_eq!(next, if source.loads() == 1 { 7 } else { 8 }, "way {way}, {times} polls");
            assert_nothing_leaked(&kit, &cache, &["a"]).await;
        }
    }
}

pub(crate) async fn get_many_or_load_dropped_at_any_await_leaks_nothing(kit: Kit) {
    for way in 0..4 {
        let mut finished = false;
        for times in 0..24 {
            let (cache, source) = (kit.cache(), Source::gated());
            cache.remove_many(["a", "c", "d"]).await.unwrap();
            // One cannot be opened, so that the store is asked twice.
            cache.set("b", "no number").await.unwrap();
            slow(&kit, way);
            let other = (times % 2 == 1).then(|| ask_many(&cache, &["c", "d", "a"], source.brings_each(|_| 7)));
            let loader = source.brings_each(|_| 7);
            let call = cache.get_many_or_load::<u32, _, _, _, _, _, _>(["a", "b", "c", "a"], loader).into_future();
            finished = poll_then_drop(call, times, async |time| {
                tokio::task::yield_now().await;
                if time == 20 {
                    source.gate.open();
                    settle().await;
                }
            })
            .await;
            source.gate.open();
            if let Some(other) = other {
                assert_eq!(values(other.await.unwrap()), [Some(7); 3], "nobody else fails");
            }
            assert_nothing_leaked(&kit, &cache, &["a", "b", "c", "d"]).await;
        }
        assert!(finished, "the last was polled to its end");
    }
}

pub(crate) async fn who_waits_at_the_store_may_leave(kit: Kit) {
    let (here, there, source) = (kit.cache(), kit.other_cache(), Source::gated());
    let first = ask(&here, "a", source.brings(7));
    settle().await;
    for times in 1..8 {
        let call = there.get_or_load("a", source.brings(8)).into_future();
        assert!(!poll_then_drop(call, times, async |_| settle().await).await);
    }
    source.gate.open();
    assert_eq!(first.await.unwrap().unwrap(), 7);
    assert_eq!((source.loads(), there.stats().cancelled), (1, 7));
    assert_nothing_leaked(&kit, &here, &["a"]).await;
}

pub(crate) async fn plain_calls_may_be_dropped_anywhere(kit: Kit) {
    let cache = kit.cache();
    slow(&kit, 3);
    for times in 0..8 {
        poll_then_drop(cache.set("a", &1).into_future(), times, async |_| tokio::task::yield_now().await).await;
        poll_then_drop(cache.get::<u32>("a"), times, async |_| tokio::task::yield_now().await).await;
        poll_then_drop(cache.get_many::<u32>(["a", "b"]), times, async |_| tokio::task::yield_now().await).await;
        poll_then_drop(cache.remove("a"), times, async |_| tokio::task::yield_now().await).await;
        poll_then_drop(cache.clear(), times, async |_| tokio::task::yield_now().await).await;
    }
    assert_nothing_leaked(&kit, &cache, &["a", "b"]).await;
}

pub(crate) async fn a_call_that_is_never_polled_asks_nothing(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    drop(cache.get_or_load("a", source.brings(7)).into_future());
    drop(cache.set("a", &1).into_future());
    drop(cache.remove("a"));
    settle().await;
    kit.recorder.assert_quiet();
    assert_eq!((source.loads(), cache.stats().requests), (0, 0));
}

pub(crate) async fn an_aborted_leader_leaves_its_load_to_the_others(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let leader = ask(&cache, "a", source.brings(7));
    settle().await;
    let follower = ask(&cache, "a", source.brings(8));
    settle().await;
    leader.abort();
    source.gate.open();
    assert_eq!(follower.await.unwrap().unwrap(), 7);
    assert_eq!(source.loads(), 1);
}

rules! {
    every stack:
    get_or_load_dropped_at_any_await_leaks_nothing,
    a_refresh_dropped_at_any_await_leaks_nothing,
    get_many_or_load_dropped_at_any_await_leaks_nothing,
    who_waits_at_the_store_may_leave,
    plain_calls_may_be_dropped_anywhere,
    a_call_that_is_never_polled_asks_nothing,
    an_aborted_leader_leaves_its_load_to_the_others,
}
