//! Refreshing a value before its end, in the background and under a lease.

use std::sync::{Arc, Mutex};

use memstache_core::{Cache, Json, Request};

use crate::kit::{Kit, Source, ask, millis, rules, secs, settle};

pub(crate) async fn refresh_ahead_refreshes_once_in_the_background(kit: Kit) {
    let cache = kit.builder().ttl(secs(100)).refresh_ahead(0.8).build().unwrap();
    cache.set("a", &1).await.unwrap();
    let source = Source::gated();
    kit.pass(millis(79_999)).await;
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!(source.loads(), 0);
    kit.pass(millis(1)).await;
    for _ in 0..20 {
        assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1, "nobody waits");
    }
    settle().await;
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 1));
    source.gate.open();
    settle().await;
    let fetched = cache.get_entry::<u32>("a").await.unwrap();
    assert_eq!((fetched.value, fetched.ttl_left), (Some(2), Some(secs(100))));
    assert_eq!((cache.stats().hits, cache.stats().loads), (22, 1));
}

pub(crate) async fn two_handles_refresh_ahead_once_by_the_stores_lease(kit: Kit) {
    let build = |stack| kit.builder_on(stack).ttl(secs(100)).refresh_ahead(0.5).build().unwrap();
    let (here, there) = (build(kit.another_stack()), build(kit.another_stack()));
    here.set("a", &1).await.unwrap();
    kit.pass(secs(60)).await;
    let source = Source::gated();
    for cache in [&here, &there, &here, &there] {
        assert_eq!(ask(cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
        settle().await;
    }
    assert_eq!((source.loads(), here.stats().loads, there.stats().loads), (1, 1, 0));
    source.gate.open();
    settle().await;
    for cache in [&here, &there] {
        assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(2));
    }
}

pub(crate) async fn a_failed_early_refresh_keeps_the_value_and_gives_the_source_a_pause(kit: Kit) {
    let cache = kit.builder().ttl(secs(100)).refresh_ahead(0.5).refresh_pause(secs(20)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(50)).await;
    let source = Source::open();
    for _ in 0..20 {
        assert_eq!(ask(&cache, "a", source.fails()).await.unwrap().unwrap(), 1);
        kit.pass(secs(1)).await;
    }
    assert_eq!(source.loads(), 1);
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!((cache.get::<u32>("a").await.unwrap(), source.loads()), (Some(2), 2));
    assert_eq!((cache.stats().errors, cache.stats().load_failures), (0, 1));
}

pub(crate) async fn an_early_refresh_that_is_overtaken_by_a_removal_is_refused(kit: Kit) {
    let cache = kit.builder().ttl(secs(100)).refresh_ahead(0.5).build().unwrap();
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(60)).await;
    let source = Source::gated();
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    settle().await;
    cache.remove("a").await.unwrap();
    source.gate.open();
    settle().await;
    assert_eq!((cache.get::<u32>("a").await.unwrap(), cache.stats().fills_refused), (None, 1));
}

pub(crate) async fn an_early_refresh_hears_of_the_value_that_it_replaces(kit: Kit) {
    let cache = kit.builder().ttl(secs(100)).refresh_ahead(0.5).build().unwrap();
    cache.set("a", &1).tags(["t"]).await.unwrap();
    kit.pass(secs(60)).await;
    let loader = Source::open().answers(|context| Ok(context.not_modified()));
    assert_eq!(cache.get_or_load("a", loader).await.unwrap(), 1);
    settle().await;
    assert_eq!(cache.get_entry::<u32>("a").await.unwrap().ttl_left, Some(secs(100)));
    cache.invalidate_tag("t").await.unwrap();
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None);
}

pub(crate) async fn an_early_refresh_that_meets_a_later_stale_value_refreshes_that(kit: Kit) {
    let cache = kit.builder().ttl(secs(100)).refresh_ahead(0.5).build().unwrap();
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(60)).await;
    let asks_for_the_refresh = |request: &Request| match request {
        Request::Get(get) => get.items.iter().any(|item| item.unless.is_some()),
        _ => false,
    };
    let gate = kit.recorder.hold(asks_for_the_refresh);
    let source = Source::open();
    assert_eq!(ask(&cache, "a", source.brings(3)).await.unwrap().unwrap(), 1);
    gate.arrived(1).await;
    cache.set("a", &2).ttl(secs(1)).stale_for(secs(60)).await.unwrap();
    kit.pass(secs(1)).await;
    gate.open();
    settle().await;
    assert_eq!((source.loads(), cache.get::<u32>("a").await.unwrap()), (1, Some(3)));
}

pub(crate) async fn a_value_without_an_end_is_never_refreshed_early(kit: Kit) {
    let cache = kit.builder().refresh_ahead(0.001).early_refresh(100.0).build().unwrap();
    let source = Source::open();
    assert_eq!(ask(&cache, "a", source.brings(1)).await.unwrap().unwrap(), 1);
    kit.pass(secs(100)).await;
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!(source.loads(), 1);
}

/// A handle that draws what it is told, and how often it drew.
fn drawing(kit: &Kit, draw: f64) -> (Cache<Json>, Arc<Mutex<usize>>) {
    let draws = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&draws);
    let random = move || {
        *counted.lock().unwrap() += 1;
        draw
    };
    let cache = kit.builder().ttl(secs(100)).early_refresh(2.0).random(random).build().unwrap();
    (cache, draws)
}

/// A value that took 4 s to load and lives for 100 s.
async fn load_slowly(kit: &Kit, cache: &Cache<Json>) {
    let slow = Source::gated();
    let first = ask(cache, "a", slow.brings(1));
    kit.pass(secs(4)).await;
    slow.gate.open();
    assert_eq!(first.await.unwrap().unwrap(), 1);
}

pub(crate) async fn a_dear_value_is_refreshed_by_chance_near_its_end(kit: Kit) {
    // -ln(1 - 0.9) * 2 * 4 s is 18.4 s before the end.
    let (cache, _) = drawing(&kit, 0.9);
    load_slowly(&kit, &cache).await;
    let source = Source::open();
    kit.pass(secs(81)).await;
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!(source.loads(), 0);
    kit.pass(secs(1)).await;
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!((source.loads(), cache.get::<u32>("a").await.unwrap()), (1, Some(2)));
}

pub(crate) async fn who_draws_low_does_not_refresh(kit: Kit) {
    let (cache, _) = drawing(&kit, 0.0);
    load_slowly(&kit, &cache).await;
    let source = Source::open();
    kit.pass(millis(99_999)).await;
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!(source.loads(), 0);
}

pub(crate) async fn chance_is_drawn_once_a_call(kit: Kit) {
    let (cache, draws) = drawing(&kit, 0.9);
    load_slowly(&kit, &cache).await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(1));
    kit.pass(secs(95)).await;
    let source = Source::gated();
    let before = *draws.lock().unwrap();
    assert_eq!(ask(&cache, "a", source.brings(2)).await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!((*draws.lock().unwrap() - before, source.loads()), (1, 1));
}

pub(crate) async fn the_call_chooses_early_refresh_for_itself(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(31)).await;
    assert_eq!(cache.get_or_load("a", source.brings(2)).refresh_ahead(0.5).await.unwrap(), 1);
    settle().await;
    assert_eq!((source.loads(), cache.get::<u32>("a").await.unwrap()), (1, Some(2)));
}

rules! {
    every stack:
    refresh_ahead_refreshes_once_in_the_background,
    two_handles_refresh_ahead_once_by_the_stores_lease,
    a_failed_early_refresh_keeps_the_value_and_gives_the_source_a_pause,
    an_early_refresh_that_is_overtaken_by_a_removal_is_refused,
    an_early_refresh_hears_of_the_value_that_it_replaces,
    an_early_refresh_that_meets_a_later_stale_value_refreshes_that,
    a_value_without_an_end_is_never_refreshed_early,
    a_dear_value_is_refreshed_by_chance_near_its_end,
    who_draws_low_does_not_refresh,
    chance_is_drawn_once_a_call,
    the_call_chooses_early_refresh_for_itself,
}
