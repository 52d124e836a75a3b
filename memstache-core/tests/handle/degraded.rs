//! A store that is gone, or hangs.

use memstache_core::{ErrorKind, Get, Request, TouchKind, testing::Fault};

use crate::kit::{Kit, Source, ask, kind, millis, rules, secs, settle};

const ALL: &[&str] = &["get", "set", "remove", "touch", "invalidate"];

pub(crate) async fn a_store_that_is_gone_is_an_error_of_reads_and_writes(kit: Kit) {
    let cache = kit.cache();
    kit.fail(ErrorKind::Unavailable, ALL);
    assert_eq!(kind(cache.get::<u32>("a").await), ErrorKind::Unavailable);
    assert_eq!(cache.try_get::<u32>("a").await, None);
    assert_eq!(kind(cache.get_entry::<u32>("a").await), ErrorKind::Unavailable);
    assert_eq!(kind(cache.exists("a").await), ErrorKind::Unavailable);
    assert_eq!(kind(cache.set("a", &1).await), ErrorKind::Unavailable);
    assert_eq!(kind(cache.remove("a").await), ErrorKind::Unavailable);
    assert_eq!(kind(cache.touch("a").await), ErrorKind::Unavailable);
    assert_eq!(kind(cache.invalidate_tag("t").await), ErrorKind::Unavailable);
    assert_eq!(kind(cache.clear().await), ErrorKind::Unavailable);
    assert_eq!((cache.stats().requests, cache.stats().errors), (3, 3));
}

pub(crate) async fn get_or_load_over_a_store_that_is_gone_loads_once_and_does_not_store(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    kit.fail(ErrorKind::Unavailable, ALL);
    let callers: Vec<_> = (0..100).map(|_| ask(&cache, "a", source.brings(7))).collect();
    settle().await;
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 1));
    source.gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), 7);
    }
    kit.recorder.assert_calls("set", 0);
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.errors, stats.fills_failed, stats.loads_degraded), (100, 0, 0, 1));
    kit.faults.heal();
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None);
    assert_eq!(ask(&cache, "a", source.brings(8)).await.unwrap().unwrap(), 8);
}

pub(crate) async fn a_value_loaded_without_a_store_has_no_ttl(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    kit.fail(ErrorKind::Unavailable, ALL);
    let fetched = cache.get_or_load::<u32, _, _, _, _, _>("a", source.brings(7)).entry().await.unwrap();
    assert_eq!((fetched.value, fetched.ttl_left), (Some(7), None));
}

pub(crate) async fn a_call_that_a_limit_refused_is_an_error_and_loads_nothing(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    kit.fail(ErrorKind::Overloaded, ALL);
    assert_eq!(kind(ask(&cache, "a", source.brings(7)).await.unwrap()), ErrorKind::Overloaded);
    assert_eq!(source.loads(), 0);
}

pub(crate) async fn a_load_that_cannot_be_stored_is_answered_and_its_lease_given_back(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    kit.fail(ErrorKind::Unavailable, &["set"]);
    assert_eq!(ask(&cache, "a", source.brings(7)).await.unwrap().unwrap(), 7);
    assert_eq!((cache.stats().fills_failed, cache.stats().load_failures), (1, 0));
    kit.assert_no_lease("a").await;
}

pub(crate) async fn a_fill_whose_answer_is_lost_is_there(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    kit.faults.inject(Fault::lost().when(|request| matches!(request, Request::Set(_))));
    assert_eq!(ask(&cache, "a", source.brings(7)).await.unwrap().unwrap(), 7);
    settle().await;
    assert_eq!(cache.stats().fills_failed, 1);
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(7));
}

pub(crate) async fn no_call_outlasts_its_deadline_over_a_store_that_hangs(kit: Kit) {
    let cache = kit.builder().store_timeout(secs(2)).build().unwrap();
    kit.hang(ALL);
    macro_rules! in_time {
        ($call:expr, $span:expr, $kind:ident) => {{
            let call = tokio::spawn({
                let cache = cache.clone();
                async move { $call(&cache).await.map(drop) }
            });
            kit.pass($span - millis(1)).await;
            assert!(!call.is_finished(), "too early");
            kit.pass(millis(1)).await;
            assert!(call.is_finished(), "too late");
            assert_eq!(kind(call.await.unwrap()), ErrorKind::$kind);
        }};
    }
    type C = memstache_core::Cache<memstache_core::Json>;
    in_time!(async |cache: &C| cache.get::<u32>("a").await, secs(2), Timeout);
    in_time!(async |cache: &C| cache.get_entry::<u32>("a").await, secs(2), Timeout);
    in_time!(async |cache: &C| cache.exists("a").await, secs(2), Timeout);
    in_time!(async |cache: &C| cache.read().timeout(millis(300)).get::<u32>("a").await, millis(300), Timeout);
    in_time!(async |cache: &C| cache.read().timeout(millis(300)).exists("a").await, millis(300), Timeout);
    in_time!(async |cache: &C| cache.set("a", &1).await, secs(2), Unknown);
    in_time!(async |cache: &C| cache.set("a", &1).timeout(millis(300)).await, millis(300), Unknown);
    in_time!(async |cache: &C| cache.remove("a").await, secs(2), Unknown);
    in_time!(async |cache: &C| cache.touch("a").await, secs(2), Unknown);
    in_time!(async |cache: &C| cache.invalidate_tag("t").await, secs(2), Unknown);
    in_time!(async |cache: &C| cache.clear().await, secs(2), Unknown);
    in_time!(async |cache: &C| cache.set_many([("a", &1)]).await, secs(2), Unknown);
    in_time!(async |cache: &C| cache.remove_many(["a"]).await, secs(2), Unknown);
    // A call's own time replaces the store's, longer or shorter.
    in_time!(async |cache: &C| cache.read().timeout(secs(9)).get::<u32>("a").await, secs(9), Timeout);
    in_time!(async |cache: &C| cache.read().timeout(secs(9)).exists("a").await, secs(9), Timeout);
    in_time!(async |cache: &C| cache.set("a", &1).timeout(secs(9)).await, secs(9), Unknown);
    in_time!(async |cache: &C| cache.set_many([("a", &1)]).timeout(secs(9)).await, secs(9), Unknown);
    in_time!(async |cache: &C| cache.remove("a").timeout(millis(300)).await, millis(300), Unknown);
    in_time!(async |cache: &C| cache.touch("a").timeout(secs(9)).await, secs(9), Unknown);
    in_time!(async |cache: &C| cache.remove_many(["a"]).timeout(secs(9)).await, secs(9), Unknown);
    in_time!(async |cache: &C| cache.invalidate_tag("t").timeout(secs(9)).await, secs(9), Unknown);
    in_time!(async |cache: &C| cache.clear().timeout(millis(300)).await, millis(300), Unknown);
    in_time!(async |cache: &C| cache.run(Get::one(cache.address("a")?)).await, secs(2), Timeout);
    assert_eq!(cache.stats().errors, 4);
}

pub(crate) async fn get_or_load_over_a_store_that_hangs_loads_after_the_stores_time(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    kit.hang(ALL);
    let caller = ask(&cache, "a", source.brings(7));
    kit.pass(millis(1_999)).await;
    assert_eq!(source.loads(), 0);
    kit.pass(millis(1)).await;
    assert_eq!(caller.await.unwrap().unwrap(), 7);
    assert_eq!(cache.loads_in_flight(), 0);
}

pub(crate) async fn a_fill_that_hangs_ends_in_the_stores_time(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    kit.hang(&["set", "touch"]);
    let caller = ask(&cache, "a", source.brings(7));
    kit.pass(secs(2)).await;
    assert_eq!(caller.await.unwrap().unwrap(), 7);
    assert_eq!((cache.loads_in_flight(), cache.stats().fills_failed), (0, 1));
}

pub(crate) async fn a_load_goes_on_while_its_lease_cannot_be_renewed(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let caller = ask(&cache, "a", source.brings(7));
    settle().await;
    let renewals = |request: &Request| match request {
        Request::Touch(touch) => touch.items.iter().all(|item| matches!(item.kind, TouchKind::Renew(_))),
        _ => false,
    };
    kit.faults.inject(Fault::hang().when(renewals));
    kit.pass(secs(15)).await;
    source.gate.open();
    assert_eq!(caller.await.unwrap().unwrap(), 7);
    assert_eq!((source.loads(), cache.stats().fills_refused), (1, 1), "by then the lease had aged out");
}

rules! {
    every stack:
    a_store_that_is_gone_is_an_error_of_reads_and_writes,
    get_or_load_over_a_store_that_is_gone_loads_once_and_does_not_store,
    a_value_loaded_without_a_store_has_no_ttl,
    a_call_that_a_limit_refused_is_an_error_and_loads_nothing,
    a_load_that_cannot_be_stored_is_answered_and_its_lease_given_back,
    a_fill_whose_answer_is_lost_is_there,
    no_call_outlasts_its_deadline_over_a_store_that_hangs,
    get_or_load_over_a_store_that_hangs_loads_after_the_stores_time,
    a_fill_that_hangs_ends_in_the_stores_time,
    a_load_goes_on_while_its_lease_cannot_be_renewed,
}
