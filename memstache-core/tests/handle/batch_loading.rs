//! Many keys with one loader.

use std::sync::{Arc, Mutex};

use memstache_core::{ErrorKind, IntoLoaded, Loaded, testing::Outcome};

use crate::kit::{Brought, Failed, Kit, Source, ask, ask_many, kind, rules, secs, settle, values};

pub(crate) async fn only_missing_keys_reach_the_loader_and_the_order_is_kept(kit: Kit) {
    let (cache, seen) = (kit.cache(), Arc::new(Mutex::new(Vec::new())));
    cache.set("b", &20).await.unwrap();
    let loader = {
        let seen = Arc::clone(&seen);
        move |keys: Vec<&'static str>| {
            seen.lock().unwrap().push(keys);
            // Backwards, with one that nobody asked for, and one left out.
            Box::pin(async { Ok(vec![("x", 99), ("c", 3), ("a", 1u32)]) }) as Brought<_>
        }
    };
    let answers = ask_many(&cache, &["a", "b", "c", "d", "a"], loader).await.unwrap();
    assert_eq!(values(answers), [Some(1), Some(20), Some(3), None, Some(1)]);
    assert_eq!(*seen.lock().unwrap(), [vec!["a", "c", "d"]]);
    assert_eq!(cache.get::<u32>("x").await.unwrap(), None, "what nobody asked for is not stored");
    assert_eq!((cache.stats().loads, cache.loads_in_flight()), (3, 0));
    kit.assert_no_lease("d").await;
}

pub(crate) async fn an_empty_batch_touches_nothing(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    assert!(ask_many(&cache, &[], source.brings_each(|_| 1)).await.unwrap().unwrap().is_empty());
    kit.recorder.assert_quiet();
    assert_eq!((source.loads(), cache.stats().requests), (0, 0));
}

pub(crate) async fn a_batch_asks_once_and_fills_once(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    assert_eq!(values(ask_many(&cache, &["a", "b", "c"], source.brings_each(|_| 1)).await.unwrap()), [Some(1); 3]);
    settle().await;
    kit.recorder.assert_calls("get", 1);
    kit.recorder.assert_calls("set", 1);
    kit.recorder.assert_items("set", 3);
    assert_eq!((source.loads(), kit.recorder.outcomes(Outcome::Stored)), (1, 3));
    assert_eq!(values(cache.get_many(["a", "b", "c"]).await), [Some(1); 3]);
}

pub(crate) async fn a_batch_of_hits_loads_nothing(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    cache.set_many([("a", &1), ("b", &2)]).await.unwrap();
    assert_eq!(values(ask_many(&cache, &["b", "a"], source.brings_each(|_| 9)).await.unwrap()), [Some(2), Some(1)]);
    assert_eq!((source.loads(), cache.stats().hits), (0, 2));
}

pub(crate) async fn overlapping_batches_load_each_key_once_and_never_deadlock(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let first = ask_many(&cache, &["a", "b", "c"], source.brings_each(|key| u32::from(key.as_bytes()[0])));
    settle().await;
    let second = ask_many(&cache, &["d", "c", "b"], source.brings_each(|_| 9));
    let third = ask_many(&cache, &["c", "d", "a"], source.brings_each(|_| 8));
    let single = ask(&cache, "b", source.brings(7));
    settle().await;
    assert_eq!((source.loads(), cache.loads_in_flight(), cache.stats().loads), (2, 4, 4));
    source.gate.open();
    assert_eq!(values(first.await.unwrap()), [Some(97), Some(98), Some(99)]);
    assert_eq!(values(second.await.unwrap()), [Some(9), Some(99), Some(98)]);
    assert_eq!(values(third.await.unwrap()), [Some(99), Some(9), Some(97)]);
    assert_eq!(single.await.unwrap().unwrap(), 98);
    assert_eq!((source.loads(), cache.loads_in_flight()), (2, 0));
}

pub(crate) async fn overlapping_batches_of_two_handles_never_deadlock(kit: Kit) {
    let (here, there, source) = (kit.cache(), kit.other_cache(), Source::gated());
    let first = ask_many(&here, &["a", "b"], source.brings_each(|_| 1));
    settle().await;
    let second = ask_many(&there, &["c", "b", "d"], source.brings_each(|_| 2));
    settle().await;
    let third = ask_many(&here, &["d", "a", "c", "e"], source.brings_each(|_| 3));
    settle().await;
    assert_eq!((here.stats().loads, there.stats().loads), (3, 2));
    source.gate.open();
    assert_eq!(values(first.await.unwrap()), [Some(1), Some(1)]);
    assert_eq!(values(second.await.unwrap()), [Some(2), Some(1), Some(2)]);
    assert_eq!(values(third.await.unwrap()), [Some(2), Some(1), Some(2), Some(3)]);
    assert_eq!(source.loads(), 3);
}

pub(crate) async fn one_failing_key_fails_no_other(kit: Kit) {
    let cache = kit.cache();
    let loader = |keys: Vec<&'static str>| async move {
        let value = |key: &'static str| match key {
            "b" => (key, Loaded::failed(Failed(2))),
            "c" => (key, Loaded::skip(3)),
            "d" => (key, Loaded::negative(secs(60))),
            _ => (key, Loaded::store(1).ttl(secs(5)).tags(["t"])),
        };
        Ok::<_, Failed>(keys.into_iter().map(value).collect::<Vec<_>>())
    };
    let answers = cache.get_many_or_load::<u32, _, _, _, _, _, _>(["a", "b", "c", "d"], loader).await.unwrap();
    let [a, b, c, d] = <[_; 4]>::try_from(answers).unwrap();
    assert_eq!((a.unwrap(), c.unwrap(), d.unwrap()), (Some(1), Some(3), None));
    let error = b.unwrap_err();
    assert_eq!((error.kind(), error.find_source::<Failed>()), (ErrorKind::Load, Some(&Failed(2))));
    assert_eq!(values(cache.get_many(["a", "b", "c", "d"]).await), [Some(1), None, None, None]);
    assert_eq!(cache.stats().negative, 1);
    for key in ["b", "c"] {
        kit.assert_no_lease(key).await;
    }
    cache.invalidate_tag("t").await.unwrap();
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None);
}

pub(crate) async fn a_plain_value_turns_into_a_loaded_one(kit: Kit) {
    let cache = kit.cache();
    let loader = async |key: &'static str| {
        let loaded: Loaded<u32> = if key == "a" { 1.into_loaded() } else { None.into_loaded() };
        Ok::<_, Failed>(vec![(key, loaded)])
    };
    for (key, value) in [("a", Some(1)), ("b", None)] {
        let loader = move |keys: Vec<&'static str>| loader(keys[0]);
        assert_eq!(values(cache.get_many_or_load([key], loader).await), [value]);
    }
}

pub(crate) async fn a_failing_loader_fails_its_keys_and_no_hit(kit: Kit) {
    let cache = kit.cache();
    cache.set("b", &2).await.unwrap();
    let loader = |_: Vec<&'static str>| Box::pin(async { Err(Failed(7)) }) as Brought<_>;
    let answers = ask_many(&cache, &["a", "b", "c"], loader).await.unwrap().unwrap();
    let [a, b, c] = <[_; 3]>::try_from(answers).unwrap();
    assert_eq!(b.unwrap(), Some(2));
    for failed in [a, c] {
        let error = failed.unwrap_err();
        assert_eq!((error.kind(), error.find_source::<Failed>()), (ErrorKind::Load, Some(&Failed(7))));
    }
    for key in ["a", "c"] {
        kit.assert_no_lease(key).await;
    }
    assert_eq!((cache.stats().errors, cache.stats().load_failures, cache.loads_in_flight()), (2, 2, 0));
}

pub(crate) async fn a_panicking_loader_fails_its_keys_and_the_next_call_loads(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    let in_closure = |_: Vec<&'static str>| -> Brought<Vec<(&'static str, u32)>> { panic!("on purpose") };
    let in_future = Source::open().brings_each(|_| -> u32 { panic!("on purpose") });
    let first = ask_many(&cache, &["a", "b"], in_closure).await.unwrap().unwrap();
    let second = ask_many(&cache, &["a", "b"], in_future).await.unwrap().unwrap();
    assert!(first.into_iter().chain(second).all(|answer| kind(answer) == ErrorKind::LoadPanicked));
    assert_eq!(values(ask_many(&cache, &["a", "b"], source.brings_each(|_| 1)).await.unwrap()), [Some(1); 2]);
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 0));
}

pub(crate) async fn a_key_whose_load_by_another_caller_fails_is_that_callers_error(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let single = ask(&cache, "b", source.fails());
    settle().await;
    let batch = ask_many(&cache, &["a", "b"], source.brings_each(|_| 1));
    settle().await;
    source.gate.open();
    assert_eq!(kind(single.await.unwrap()), ErrorKind::Load);
    let [a, b] = <[_; 2]>::try_from(batch.await.unwrap().unwrap()).unwrap();
    assert_eq!((a.unwrap(), kind(b)), (Some(1), ErrorKind::Load));
}

pub(crate) async fn a_batch_keeps_its_leases_alive(kit: Kit) {
    let cache = kit.builder().ttl(secs(600)).load_timeout(secs(300)).build().unwrap();
    let other = kit.builder_on(kit.another_stack()).load_timeout(secs(300)).build().unwrap();
    let source = Source::gated();
    let batch = ask_many(&cache, &["a", "b"], source.brings_each(|_| 1));
    settle().await;
    let late = ask(&other, "b", source.brings(2));
    kit.pass(secs(100)).await;
    assert_eq!((source.loads(), late.is_finished()), (1, false));
    source.gate.open();
    assert_eq!(values(batch.await.unwrap()), [Some(1); 2]);
    assert_eq!(late.await.unwrap().unwrap(), 1);
}

pub(crate) async fn a_stale_key_of_a_batch_is_served_and_refreshed(kit: Kit) {
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(60)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(11)).await;
    let source = Source::open();
    let answers = ask_many(&cache, &["a", "b", "a"], source.brings_each(|_| 2)).await.unwrap();
    assert_eq!(values(answers), [Some(1), Some(2), Some(1)]);
    settle().await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(2));
    assert_eq!((source.loads(), cache.stats().stale), (1, 2));
}

pub(crate) async fn keys_left_out_are_remembered_if_asked(kit: Kit) {
    let cache = kit.builder().negative_ttl(secs(10)).build().unwrap();
    let source = Source::open();
    for _ in 0..2 {
        let loader = {
            let source = source.clone();
            move |_: Vec<&'static str>| {
                let source = source.clone();
                Box::pin(async move {
                    source.load().await;
                    Ok(Vec::new())
                }) as Brought<_>
            }
        };
        assert_eq!(values(ask_many(&cache, &["a", "b"], loader).await.unwrap()), [None, None]);
    }
    assert_eq!((source.loads(), cache.stats().negative), (1, 2));
}

pub(crate) async fn a_store_that_is_gone_makes_every_key_the_loaders(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    kit.fail(ErrorKind::Unavailable, &["get", "set", "touch"]);
    let answers = ask_many(&cache, &["a", "b", "a"], source.brings_each(|_| 1)).await.unwrap();
    assert_eq!((values(answers), source.loads()), (vec![Some(1); 3], 1));
    kit.recorder.assert_calls("set", 0);
    kit.faults.heal();
    assert_eq!(values(cache.get_many(["a", "b"]).await), [None, None]);
}

rules! {
    every stack:
    only_missing_keys_reach_the_loader_and_the_order_is_kept,
    an_empty_batch_touches_nothing,
    a_batch_asks_once_and_fills_once,
    a_batch_of_hits_loads_nothing,
    overlapping_batches_load_each_key_once_and_never_deadlock,
    overlapping_batches_of_two_handles_never_deadlock,
    one_failing_key_fails_no_other,
    a_plain_value_turns_into_a_loaded_one,
    a_failing_loader_fails_its_keys_and_no_hit,
    a_panicking_loader_fails_its_keys_and_the_next_call_loads,
    a_key_whose_load_by_another_caller_fails_is_that_callers_error,
    a_batch_keeps_its_leases_alive,
    a_stale_key_of_a_batch_is_served_and_refreshed,
    keys_left_out_are_remembered_if_asked,
    a_store_that_is_gone_makes_every_key_the_loaders,
}
