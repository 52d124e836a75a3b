//! One load per key, whoever asks.

use memstache_core::ErrorKind;

use crate::kit::{Failed, Kit, Source, ask, kind, rules, secs, settle};

pub(crate) async fn a_thousand_concurrent_callers_share_one_load(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let callers: Vec<_> = (0..1000).map(|_| ask(&cache, "a", source.brings(7))).collect();
    settle().await;
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 1));
    source.gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), 7);
    }
    let stats = cache.stats();
    assert_eq!((stats.requests, stats.misses, stats.loads), (1000, 1000, 1));
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 0));
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(7));
}

pub(crate) async fn the_last_of_a_thousand_gets_its_value_when_all_others_left(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let mut callers: Vec<_> = (0..1000).map(|_| ask(&cache, "a", source.brings(7))).collect();
    settle().await;
    let last = callers.pop().unwrap();
    for caller in callers {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    source.gate.open();
    assert_eq!(last.await.unwrap().unwrap(), 7);
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 0));
    assert_eq!(cache.stats().cancelled, 999);
    assert!(cache.remove("a").await.unwrap());
    kit.assert_no_lease("a").await;
}

pub(crate) async fn a_load_that_all_callers_left_ends_and_is_stored(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let callers: Vec<_> = (0..10).map(|_| ask(&cache, "a", source.brings(7))).collect();
    settle().await;
    for caller in callers {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    assert_eq!(cache.loads_in_flight(), 1);
    source.gate.open();
    settle().await;
    assert_eq!(cache.loads_in_flight(), 0);
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(7));
    assert_eq!(cache.stats().cancelled, 10);
}

pub(crate) async fn a_panic_in_the_future_is_everybodys_error_and_the_next_call_loads(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let callers: Vec<_> = (0..100).map(|_| ask(&cache, "a", source.panics())).collect();
    settle().await;
    source.gate.open();
    for caller in callers {
        assert_eq!(kind(caller.await.unwrap()), ErrorKind::LoadPanicked);
    }
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 0));
    assert_eq!(ask(&cache, "a", source.brings(8)).await.unwrap().unwrap(), 8);
    assert_eq!((cache.stats().loads, cache.stats().load_failures), (2, 1));
}

pub(crate) async fn a_panic_in_the_closure_is_everybodys_error_and_the_next_call_loads(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    let callers: Vec<_> = (0..100).map(|_| ask(&cache, "a", |_| panic!("on purpose"))).collect();
    for caller in callers {
        assert_eq!(kind(caller.await.unwrap()), ErrorKind::LoadPanicked);
    }
    kit.assert_no_lease("a").await;
    assert_eq!(ask(&cache, "a", source.brings(8)).await.unwrap().unwrap(), 8);
    assert_eq!(cache.loads_in_flight(), 0);
}

pub(crate) async fn a_loaders_error_is_everybodys_with_its_source_and_the_next_call_loads(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let callers: Vec<_> = (0..100).map(|_| ask(&cache, "a", source.fails())).collect();
    settle().await;
    source.gate.open();
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Load);
        assert_eq!(error.find_source::<Failed>(), Some(&Failed(7)));
    }
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 0));
    assert_eq!(cache.stats().errors, 100);
    assert_eq!(ask(&cache, "a", source.brings(8)).await.unwrap().unwrap(), 8);
    assert_eq!(source.loads(), 2);
}

pub(crate) async fn two_handles_over_one_store_share_one_load_by_its_lease(kit: Kit) {
    let (here, there, source) = (kit.cache(), kit.other_cache(), Source::gated());
    let first = ask(&here, "a", source.brings(7));
    settle().await;
    let others: Vec<_> = (0..10).map(|_| ask(&there, "a", source.brings(8))).collect();
    settle().await;
    assert_eq!(source.loads(), 1);
    assert_eq!((here.loads_in_flight(), there.loads_in_flight()), (1, 0), "the second waits at the store");
    source.gate.open();
    assert_eq!(first.await.unwrap().unwrap(), 7);
    for other in others {
        assert_eq!(other.await.unwrap().unwrap(), 7);
    }
    assert_eq!((source.loads(), here.stats().loads, there.stats().loads), (1, 1, 0));
    assert_eq!(there.stats().hits, 10);
}

pub(crate) async fn who_waits_at_the_store_loads_when_the_other_handles_load_fails(kit: Kit) {
    let (here, there, source) = (kit.cache(), kit.other_cache(), Source::gated());
    let first = ask(&here, "a", source.fails());
    settle().await;
    let second = ask(&there, "a", source.brings(8));
    settle().await;
    source.gate.open();
    assert_eq!(kind(first.await.unwrap()), ErrorKind::Load);
    assert_eq!(second.await.unwrap().unwrap(), 8);
    assert_eq!(source.loads(), 2);
}

pub(crate) async fn a_loader_that_outlives_many_lease_ttls_keeps_its_lease(kit: Kit) {
    let cache = kit.builder().ttl(secs(600)).load_timeout(secs(300)).build().unwrap();
    let other = kit.builder_on(kit.another_stack()).load_timeout(secs(300)).build().unwrap();
    let source = Source::gated();
    let first = ask(&cache, "a", source.brings(7));
    settle().await;
    let (second, third) = (ask(&other, "a", source.brings(8)), ask(&cache, "a", source.brings(9)));
    // Ten times the longest lease of any store here.
    kit.pass(secs(100)).await;
    assert!(!second.is_finished() && !third.is_finished());
    assert_eq!(source.loads(), 1);
    source.gate.open();
    for caller in [first, second, third] {
        assert_eq!(caller.await.unwrap().unwrap(), 7);
    }
    assert_eq!((source.loads(), cache.stats().fills_refused), (1, 0));
}

pub(crate) async fn the_load_timeout_ends_a_load_and_gives_its_lease_back(kit: Kit) {
    let cache = kit.builder().load_timeout(secs(50)).hard_timeout(secs(200)).build().unwrap();
    let source = Source::gated();
    let callers: Vec<_> = (0..10).map(|_| ask(&cache, "a", source.brings(7))).collect();
    kit.pass(secs(49)).await;
    assert_eq!(cache.loads_in_flight(), 1);
    kit.pass(secs(1)).await;
    for caller in callers {
        assert_eq!(kind(caller.await.unwrap()), ErrorKind::Timeout);
    }
    assert_eq!((cache.loads_in_flight(), cache.stats().load_failures), (0, 1));
    kit.assert_no_lease("a").await;
    source.gate.open();
    assert_eq!(ask(&cache, "a", source.brings(8)).await.unwrap().unwrap(), 8);
}

pub(crate) async fn different_keys_load_side_by_side(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let callers: Vec<_> = (0..50).map(|n| ask(&cache, &format!("key {n}"), source.brings(n))).collect();
    settle().await;
    assert_eq!((source.loads(), cache.loads_in_flight()), (50, 50));
    source.gate.open();
    for (n, caller) in (0..).zip(callers) {
        assert_eq!(caller.await.unwrap().unwrap(), n);
    }
    assert_eq!(cache.loads_in_flight(), 0);
}

pub(crate) async fn get_or_set_is_get_or_load(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    assert_eq!(cache.get_or_set("a", source.brings(7)).await.unwrap(), 7);
    assert_eq!(cache.get_or_set("a", source.brings(8)).await.unwrap(), 7);
    assert_eq!(source.loads(), 1);
}

rules! {
    every stack:
    a_thousand_concurrent_callers_share_one_load,
    the_last_of_a_thousand_gets_its_value_when_all_others_left,
    a_load_that_all_callers_left_ends_and_is_stored,
    a_panic_in_the_future_is_everybodys_error_and_the_next_call_loads,
    a_panic_in_the_closure_is_everybodys_error_and_the_next_call_loads,
    a_loaders_error_is_everybodys_with_its_source_and_the_next_call_loads,
    two_handles_over_one_store_share_one_load_by_its_lease,
    who_waits_at_the_store_loads_when_the_other_handles_load_fails,
    a_loader_that_outlives_many_lease_ttls_keeps_its_lease,
    the_load_timeout_ends_a_load_and_gives_its_lease_back,
    different_keys_load_side_by_side,
    get_or_set_is_get_or_load,
}
