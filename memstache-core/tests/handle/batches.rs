//! Many keys at once, without a loader.

use memstache_core::{ErrorKind, Request, Written, testing::Fault};

use crate::kit::{Kit, kind, rules, secs, values};

pub(crate) async fn get_many_keeps_the_order_and_answers_duplicates(kit: Kit) {
    let cache = kit.cache();
    cache.set_many([("a", &1), ("b", &2)]).await.unwrap();
    let found = cache.get_many(["b", "x", "a", "b"]).await;
    assert_eq!(values(found), [Some(2), None, Some(1), Some(2)]);
    assert_eq!((cache.stats().requests, cache.stats().hits, cache.stats().misses), (4, 3, 1));
}

pub(crate) async fn an_empty_batch_is_ok_and_touches_nothing(kit: Kit) {
    let (cache, none) = (kit.cache(), Vec::<&str>::new());
    assert!(cache.get_many::<u32>(&none).await.unwrap().is_empty());
    assert!(cache.set_many(Vec::<(&str, &u32)>::new()).await.unwrap().is_empty());
    assert!(cache.remove_many(&none).await.unwrap().is_empty());
    cache.invalidate_tags(&none).await.unwrap();
    kit.recorder.assert_quiet();
    assert_eq!(cache.stats().requests, 0);
}

pub(crate) async fn a_batch_is_one_request(kit: Kit) {
    let cache = kit.cache();
    cache.set_many([("a", &1), ("b", &2), ("c", &3)]).await.unwrap();
    kit.recorder.assert_calls("set", 1);
    kit.recorder.assert_items("set", 3);
    cache.get_many::<u32>(["a", "b", "c"]).await.unwrap();
    kit.recorder.assert_calls("get", 1);
    cache.remove_many(["a", "b", "c"]).await.unwrap();
    kit.recorder.assert_calls("remove", 1);
}

pub(crate) async fn set_many_writes_a_duplicate_twice_in_order(kit: Kit) {
    let cache = kit.cache();
    let written = cache.set_many([("a", &1), ("a", &2)]).await.unwrap();
    assert!(written.iter().all(|written| matches!(written, Ok(Written::Stored(_)))));
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(2));
}

pub(crate) async fn remove_many_says_what_was_there(kit: Kit) {
    let cache = kit.cache();
    cache.set("b", &2).await.unwrap();
    let removed = cache.remove_many(["a", "b", "b"]).await.unwrap();
    assert_eq!(removed.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [false, true, false]);
}

pub(crate) async fn one_value_that_cannot_be_encoded_fails_no_other(kit: Kit) {
    use std::collections::BTreeMap;
    let cache = kit.cache();
    // A map whose keys are lists is no JSON; an empty one has none.
    let (empty, bad) = (BTreeMap::<Vec<u8>, u32>::new(), BTreeMap::from([(vec![1], 1)]));
    let written = cache.set_many([("a", &empty), ("b", &bad), ("c", &empty)]).await.unwrap();
    let stored: Vec<_> = written.iter().map(Result::is_ok).collect();
    assert_eq!(stored, [true, false, true]);
    assert_eq!(kind(cache.set("d", &bad).await), ErrorKind::Invalid);
    assert!(cache.exists("c").await.unwrap());
}

pub(crate) async fn items_whose_answers_are_lost_fail_one_by_one(kit: Kit) {
    let cache = kit.cache();
    cache.set("a", &1).await.unwrap();
    kit.faults.inject(Fault::lost().when(|request| matches!(request, Request::Get(_))));
    let found = cache.get_many::<u32>(["a", "b"]).await.unwrap();
    assert!(found.into_iter().all(|item| kind(item) == ErrorKind::Timeout));
    assert_eq!((cache.stats().errors, cache.stats().requests), (2, 2));
}

pub(crate) async fn a_batch_that_was_not_attempted_fails_as_a_whole(kit: Kit) {
    let cache = kit.cache();
    kit.fail(ErrorKind::Unavailable, &["get", "set", "remove"]);
    assert_eq!(kind(cache.get_many::<u32>(["a", "b"]).await), ErrorKind::Unavailable);
    assert_eq!(kind(cache.set_many([("a", &1)]).await), ErrorKind::Unavailable);
    assert_eq!(kind(cache.remove_many(["a"]).await), ErrorKind::Unavailable);
    assert_eq!((cache.stats().errors, cache.stats().requests), (2, 2));
}

pub(crate) async fn a_batch_of_stale_values_is_missing_unless_stale_is_allowed(kit: Kit) {
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(60)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    kit.pass(secs(11)).await;
    assert_eq!(values(cache.get_many(["a"]).await), [None]);
    assert_eq!(values(cache.read().allow_stale().get_many(["a"]).await), [Some(1)]);
}

rules! {
    every stack:
    get_many_keeps_the_order_and_answers_duplicates,
    an_empty_batch_is_ok_and_touches_nothing,
    a_batch_is_one_request,
    set_many_writes_a_duplicate_twice_in_order,
    remove_many_says_what_was_there,
    one_value_that_cannot_be_encoded_fails_no_other,
    items_whose_answers_are_lost_fail_one_by_one,
    a_batch_of_stale_values_is_missing_unless_stale_is_allowed;
    every store:
    a_batch_that_was_not_attempted_fails_as_a_whole,
}
