//! What a loader may answer: absence, skipped values, not modified.

use memstache_core::{Cache, ErrorKind, Json, Loaded, Outcome};

use crate::kit::{Kit, Source, ask, kind, millis, rules, secs, settle};

pub(crate) async fn an_absent_key_is_not_found_and_optional_is_none(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    assert_eq!(
        kind(cache.get_or_load::<u32, _, _, _, _, _>("a", source.brings(None::<u32>)).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        cache.get_or_load::<u32, _, _, _, _, _>("a", source.brings(None::<u32>)).optional().await.unwrap(),
        None
    );
    assert_eq!(source.loads(), 2, "absence is not remembered unless asked");
    assert_eq!((cache.stats().misses, cache.stats().negative, cache.stats().load_failures), (2, 0, 0));
    kit.assert_no_lease("a").await;
}

pub(crate) async fn an_absent_key_is_remembered_for_the_negative_ttl(kit: Kit) {
    let cache = kit.builder().ttl(secs(60)).negative_ttl(secs(5)).build().unwrap();
    let source = Source::open();
    for _ in 0..3 {
        assert_eq!(
            kind(cache.get_or_load::<u32, _, _, _, _, _>("a", source.brings(None::<u32>)).await),
            ErrorKind::NotFound
        );
    }
    let fetched = cache.get_or_load::<u32, _, _, _, _, _>("a", source.brings(None::<u32>)).entry().await.unwrap();
    assert_eq!((fetched.value, fetched.outcome, fetched.ttl_left), (None, Outcome::Negative, Some(secs(5))));
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None);
    assert!(!cache.exists("a").await.unwrap(), "a record of absence is no value");
    assert_eq!((source.loads(), cache.stats().negative, cache.stats().misses), (1, 4, 1));
    kit.pass(secs(5)).await;
    assert_eq!(ask(&cache, "a", source.brings(7)).await.unwrap().unwrap(), 7);
}

pub(crate) async fn the_calls_negative_ttl_beats_the_caches(kit: Kit) {
    let cache = kit.builder().negative_ttl(secs(50)).build().unwrap();
    let source = Source::open();
    let none =
        cache.get_or_load::<u32, _, _, _, _, _>("a", source.brings(None::<u32>)).negative_ttl(secs(5)).optional().await;
    assert_eq!(none.unwrap(), None);
    let fetched = cache.get_entry::<u32>("a").await.unwrap();
    assert_eq!((fetched.outcome, fetched.ttl_left), (Outcome::Negative, Some(secs(5))));
}

pub(crate) async fn the_loaders_negative_ttl_beats_all(kit: Kit) {
    let cache = kit.builder().negative_ttl(secs(50)).build().unwrap();
    let source = Source::open();
    let loader = source.answers(|context| Ok(context.negative(secs(3))));
    let none = cache.get_or_load("a", loader).negative_ttl(secs(5)).optional().await.unwrap();
    assert_eq!(none, None);
    assert_eq!(cache.get_entry::<u32>("a").await.unwrap().ttl_left, Some(secs(3)));
}

pub(crate) async fn a_record_of_absence_goes_with_its_tags_with_set_and_with_remove(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    for way in 0..3 {
        let loader = source.answers(|context| Ok(context.negative(secs(60)).tags(["t"])));
        assert_eq!(cache.get_or_load("a", loader).optional().await.unwrap(), None);
        assert_eq!(cache.get_entry::<u32>("a").await.unwrap().outcome, Outcome::Negative);
        match way {
            0 => cache.invalidate_tag("t").await.unwrap(),
            1 => drop(cache.remove("a").await.unwrap()),
            _ => drop(cache.set("a", &1).await.unwrap()),
        }
        assert_ne!(cache.get_entry::<u32>("a").await.unwrap().outcome, Outcome::Negative);
    }
    assert_eq!(source.loads(), 3);
}

pub(crate) async fn a_skipped_value_is_shared_by_its_waiters_and_not_stored(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let skip = |source: &Source| {
        let (cache, loader) = (cache.clone(), source.answers(|context| Ok(context.skip(7))));
        tokio::spawn(async move { cache.get_or_load("a", loader).entry().await })
    };
    let callers: Vec<_> = (0..20).map(|_| skip(&source)).collect();
    settle().await;
    source.gate.open();
    for caller in callers {
        let fetched = caller.await.unwrap().unwrap();
        assert_eq!((fetched.value, fetched.outcome, fetched.ttl_left), (Some(7), Outcome::Miss, None));
    }
    assert_eq!((source.loads(), cache.stats().load_failures), (1, 0));
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None);
    kit.assert_no_lease("a").await;
    kit.recorder.assert_calls("set", 0);
}

async fn stale_tagged(kit: &Kit) -> Cache<Json> {
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(60)).build().unwrap();
    cache.set("a", &1).tags(["t"]).await.unwrap();
    kit.pass(secs(11)).await;
    cache
}

pub(crate) async fn not_modified_keeps_bytes_and_tags_and_renews_the_lifetime(kit: Kit) {
    let (cache, source) = (stale_tagged(&kit).await, Source::open());
    let loader = source.answers(|context| {
        assert_eq!(context.stale(), Some(&1));
        Ok(context.not_modified().ttl(secs(40)))
    });
    assert_eq!(cache.get_or_load("a", loader).soft_timeout(secs(5)).await.unwrap(), 1);
    let fetched = cache.get_entry::<u32>("a").await.unwrap();
    assert_eq!((fetched.value, fetched.outcome), (Some(1), Outcome::Hit));
    assert_eq!((fetched.age, fetched.ttl_left), (secs(0), Some(secs(40))));
    cache.invalidate_tag("t").await.unwrap();
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None);
}

pub(crate) async fn not_modified_without_a_stale_value_is_a_load_error(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    let loader = source.answers(|context| {
        assert_eq!(context.stale(), None);
        Ok(context.not_modified())
    });
    assert_eq!(kind(cache.get_or_load("a", loader).await), ErrorKind::Load);
    assert_eq!(ask(&cache, "a", source.brings(7)).await.unwrap().unwrap(), 7);
}

pub(crate) async fn what_could_not_be_stored_has_no_ttl(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let caller = tokio::spawn({
        let (cache, loader) = (cache.clone(), source.brings(7));
        async move { cache.get_or_load::<u32, _, _, _, _, _>("a", loader).entry().await }
    });
    settle().await;
    cache.remove("a").await.unwrap();
    source.gate.open();
    let fetched = caller.await.unwrap().unwrap();
    assert_eq!((fetched.value, fetched.ttl_left), (Some(7), None));
    assert_eq!(cache.stats().fills_refused, 1);
}

pub(crate) async fn a_wrong_lifetime_from_the_loader_is_an_error_and_the_next_call_loads(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    for wrong in [
        |loaded: Loaded<u32>| loaded.ttl(secs(0)),
        |loaded: Loaded<u32>| loaded.jitter(1.5),
        |loaded: Loaded<u32>| loaded.tags([""]),
    ] {
        let loader = source.answers(move |context| Ok(wrong(context.store(7))));
        assert_eq!(kind(cache.get_or_load("a", loader).await), ErrorKind::Invalid);
        kit.assert_no_lease("a").await;
    }
    assert_eq!(ask(&cache, "a", source.brings(7)).await.unwrap().unwrap(), 7);
}

pub(crate) async fn errors_are_not_remembered_by_default(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    for _ in 0..3 {
        assert_eq!(kind(ask(&cache, "a", source.fails()).await.unwrap()), ErrorKind::Load);
    }
    assert_eq!(source.loads(), 3);
}

pub(crate) async fn an_error_is_remembered_with_backoff_if_asked(kit: Kit) {
    let cache = kit.builder().error_backoff(secs(1), secs(3)).build().unwrap();
    let source = Source::open();
    // Tried at 0, 1, 3, 6 and 9 s: pauses of 1, 2, 3 and 3 s.
    let mut tried = Vec::new();
    for second in 0..10u64 {
        let before = source.loads();
        for _ in 0..5 {
            assert_eq!(kind(ask(&cache, "a", source.fails()).await.unwrap()), ErrorKind::Load);
        }
        tried.extend((source.loads() > before).then_some(second));
        kit.pass(secs(1)).await;
    }
    assert_eq!((tried, source.loads()), (vec![0, 1, 3, 6, 9], 5));
    assert_eq!(cache.stats().load_failures, 5);
    kit.pass(secs(2)).await;
    assert_eq!(ask(&cache, "a", source.brings(7)).await.unwrap().unwrap(), 7, "a success ends it");
    cache.remove("a").await.unwrap();
    assert_eq!(kind(ask(&cache, "a", source.fails()).await.unwrap()), ErrorKind::Load);
    kit.pass(millis(1_000)).await;
    assert_eq!(ask(&cache, "a", source.brings(8)).await.unwrap().unwrap(), 8, "and it starts over");
}

pub(crate) async fn a_remembered_panic_is_an_error_too(kit: Kit) {
    let cache = kit.builder().error_backoff(secs(1), secs(3)).build().unwrap();
    let source = Source::open();
    for _ in 0..3 {
        assert_eq!(kind(ask(&cache, "a", source.panics()).await.unwrap()), ErrorKind::LoadPanicked);
    }
    assert_eq!(source.loads(), 1);
}

rules! {
    every stack:
    an_absent_key_is_not_found_and_optional_is_none,
    an_absent_key_is_remembered_for_the_negative_ttl,
    the_calls_negative_ttl_beats_the_caches,
    the_loaders_negative_ttl_beats_all,
    a_record_of_absence_goes_with_its_tags_with_set_and_with_remove,
    a_skipped_value_is_shared_by_its_waiters_and_not_stored,
    not_modified_keeps_bytes_and_tags_and_renews_the_lifetime,
    not_modified_without_a_stale_value_is_a_load_error,
    what_could_not_be_stored_has_no_ttl,
    a_wrong_lifetime_from_the_loader_is_an_error_and_the_next_call_loads,
    errors_are_not_remembered_by_default,
    an_error_is_remembered_with_backoff_if_asked,
    a_remembered_panic_is_an_error_too,
}
