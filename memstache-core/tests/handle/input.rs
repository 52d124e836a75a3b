//! Wrong input: one clear error each, which names the field, the limit and what was given, and never a key or value.

use std::time::Duration;

use memstache_core::{Error, ErrorKind, MAX_TTL, Result};

use crate::kit::{Kit, Source, millis, rules, secs};

const SECRET: &str = "secret";

/// The text of an error that shows neither key nor value.
fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.expect_err("it is wrong");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(!format!("{error:?} {text}").contains(SECRET), "{text}");
    text
}

/// The text of the only error of a batch, in its place.
fn at<T: std::fmt::Debug>(place: usize, results: Result<Vec<Result<T>>>) -> String {
    let mut results = results.expect("the others are done");
    let wrong: Vec<_> = (0..results.len()).filter(|at| results[*at].is_err()).collect();
    assert_eq!(wrong, [place]);
    text(results.swap_remove(place))
}

pub(crate) async fn wrong_input_names_field_limit_and_what_was_given(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    let (long_key, long_tag) = (SECRET.repeat(200), SECRET.repeat(30));
    let many_tags: Vec<String> = (0..33).map(|n| format!("{SECRET} {n}")).collect();
    let absurd = MAX_TTL + secs(1);
    let set = || cache.set("a", SECRET);
    let load = || cache.get_or_load::<u32, _, _, _, _, _>("a", source.brings(1));
    let key = |given: &str| format!("key must be 1 to 1024 bytes long, but {given} was given");
    let days = |field: &str, given: &str| format!("{field} must be at most 3650 days, but {given} was given");
    let zero = |field: &str| format!("{field} must be above zero, but zero was given");

    let table: Vec<(String, String)> = vec![
        (text(cache.get::<u32>("").await), key("0 bytes")),
        (text(cache.get::<u32>(&long_key).await), key("1200 bytes")),
        (text(cache.set("", SECRET).await), key("0 bytes")),
        (text(cache.remove(&long_key).await), key("1200 bytes")),
        (text(cache.exists("").await), key("0 bytes")),
        (text(cache.touch(&long_key).await), key("1200 bytes")),
        (text(cache.get_or_load::<u32, _, _, _, _, _>("", source.brings(1)).await), key("0 bytes")),
        (at(0, cache.get_many::<u32>([""]).await), key("0 bytes")),
        (at(0, cache.remove_many([""]).await), key("0 bytes")),
        (at(0, cache.set_many([("", SECRET)]).await), key("0 bytes")),
        (at(0, cache.get_many_or_load::<u32, _, _, _, _, _, _>([""], source.brings_each(|_| 1)).await), key("0 bytes")),
        (text(set().ttl(Duration::ZERO).await), zero("ttl")),
        (text(set().ttl(absurd).await), days("ttl", "315360001s")),
        (text(set().sliding(Duration::ZERO).await), zero("sliding")),
        (text(set().stale_for(absurd).await), days("stale_for", "315360001s")),
        (
            text(set().ttl(secs(5)).sliding(secs(6)).await),
            "sliding must be at most the ttl (5s), but 6s was given".into(),
        ),
        (text(set().jitter(1.5).await), "jitter must be from 0 to 1, but 1.5 was given".into()),
        (text(set().jitter(f64::NAN).await), "jitter must be from 0 to 1, but NaN was given".into()),
        (text(set().tags([""]).await), "tag must be 1 to 128 bytes long, but 0 bytes was given".into()),
        (text(set().tags([&long_tag]).await), "tag must be 1 to 128 bytes long, but 180 bytes was given".into()),
        (text(set().tags(&many_tags).await), "tags must be at most 32, but at least 33 was given".into()),
        (text(set().timeout(Duration::ZERO).await), zero("timeout")),
        (text(cache.touch_ttl("a", Duration::ZERO).await), zero("ttl")),
        (
            text(cache.invalidate_tag(&long_tag).await),
            "tag must be 1 to 128 bytes long, but 180 bytes was given".into(),
        ),
        (text(cache.read().timeout(Duration::ZERO).get::<u32>("a").await), zero("timeout")),
        (text(cache.read().timeout(absurd).get::<u32>("a").await), days("timeout", "315360001s")),
        (text(cache.read().max_staleness(absurd).get::<u32>("a").await), days("max_staleness", "315360001s")),
        (text(load().ttl(Duration::ZERO).await), zero("ttl")),
        (text(load().ttl(absurd).await), days("ttl", "315360001s")),
        (text(load().hard_timeout(Duration::ZERO).await), zero("hard_timeout")),
        (text(load().soft_timeout(absurd).await), days("soft_timeout", "315360001s")),
        (text(load().timeout(Duration::ZERO).await), zero("timeout")),
        (text(load().negative_ttl(Duration::ZERO).await), zero("negative_ttl")),
        (text(load().refresh_ahead(2.0).await), "refresh_ahead must be above 0 and at most 1, but 2 was given".into()),
        (
            text(load().early_refresh(0.0).await),
            "early_refresh must be above 0 and at most 100, but 0 was given".into(),
        ),
        (text(load().tags(&many_tags).await), "tags must be at most 32, but at least 33 was given".into()),
        (text(cache.set_many([("a", SECRET)]).ttl(Duration::ZERO).await), zero("ttl")),
    ];
    for (given, expected) in table {
        assert_eq!(given, expected);
    }
    assert_eq!(source.loads(), 0);
    kit.recorder.assert_quiet();
}

pub(crate) async fn a_wrong_key_of_a_batch_fails_no_other(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    at(1, cache.set_many([("a", &1), ("", &2), ("c", &3)]).await);
    at(0, cache.get_many::<u32>(["", "a"]).await);
    let loaded = cache.get_many_or_load::<u32, _, _, _, _, _, _>(["a", "", "new"], source.brings_each(|_| 7)).await;
    let found: Vec<_> = loaded.as_ref().unwrap().iter().map(|item| item.clone().ok().flatten()).collect();
    assert_eq!(found, [Some(1), None, Some(7)]);
    at(1, loaded);
    at(2, cache.remove_many(["a", "c", ""]).await);
    assert_eq!(cache.get::<u32>("c").await.unwrap(), None);
    let stats = cache.stats();
    assert_eq!((stats.requests, stats.errors, stats.hits, stats.misses), (6, 2, 2, 2));
}

pub(crate) async fn an_option_is_no_value_to_load(kit: Kit) {
    let cache = kit.cache();
    type Absent = Result<Option<u32>, std::io::Error>;
    let wrong: Result<Option<u32>> = cache.get_or_load("a", |_| async { Absent::Ok(None) }).await;
    let text = text(wrong);
    assert!(text.contains("`.optional()`"), "{text}");
    let right: Option<u32> = cache.get_or_load("a", |_| async { Absent::Ok(None) }).optional().await.unwrap();
    assert_eq!(right, None);
}

pub(crate) async fn the_longest_key_and_ttl_are_fine(kit: Kit) {
    let cache = kit.cache();
    let key = "k".repeat(1024);
    cache.set(&key, &1).ttl(MAX_TTL).tags([&"t".repeat(128)]).await.unwrap();
    assert_eq!(cache.get::<u32>(&key).await.unwrap(), Some(1));
}

pub(crate) async fn a_builder_names_every_wrong_setting(kit: Kit) {
    let wrong = kit
        .builder()
        .keyspace("a:b")
        .ttl(Duration::ZERO)
        .jitter(1.5)
        .stale_for(Duration::MAX)
        .negative_ttl(Duration::ZERO)
        .hard_timeout(Duration::ZERO)
        .refresh_ahead(-0.5)
        .early_refresh(101.0)
        .max_staleness(Duration::ZERO)
        .store_timeout(Duration::ZERO)
        .load_timeout(Duration::ZERO)
        .refresh_pause(Duration::MAX)
        .error_backoff(secs(5), secs(1));
    let text = text(wrong.build());
    let fields = [
        "keyspace must be made of",
        "ttl must be above zero",
        "jitter must be from 0 to 1, but 1.5",
        "stale_for must be at most 3650 days",
        "negative_ttl must be above zero",
        "hard_timeout must be above zero",
        "refresh_ahead must be above 0 and at most 1, but -0.5",
        "early_refresh must be above 0 and at most 100, but 101",
        "max_staleness must be above zero",
        "store_timeout must be above zero",
        "load_timeout must be above zero",
        "refresh_pause must be at most 3650 days",
        "error_backoff first must be at most its max (1s), but 5s",
    ];
    for field in fields {
        assert!(text.contains(field), "{field:?} is not in {text:?}");
    }
    assert_eq!(text.split("; ").count(), fields.len(), "{text}");
}

pub(crate) async fn a_builder_without_a_keyspace_or_with_a_disagreement_says_so(kit: Kit) {
    let stack = kit.another_stack();
    let unnamed = memstache_core::Cache::builder(stack).format(memstache_core::Json).build();
    assert_eq!(text(unnamed), "keyspace must be set, but nothing was given");
    let long = "k".repeat(65);
    assert_eq!(
        text(kit.builder().keyspace(&*long).build()),
        "keyspace must be 1 to 64 bytes long, but 65 bytes was given"
    );
    assert_eq!(
        text(kit.builder().ttl(secs(5)).sliding(secs(6)).build_tenanted()),
        "sliding must be at most the ttl (5s), but 6s was given"
    );
    assert_eq!(
        text(kit.builder().error_backoff(millis(0), secs(1)).build()),
        "error_backoff first must be above zero, but zero was given"
    );
}

pub(crate) async fn a_value_that_no_store_can_hold_is_too_large(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    cache.set("b", &1).await.unwrap();
    let large = SECRET.repeat(1 << 20);
    let error: Error = cache.set("a", &large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(!format!("{error:?} {error}").contains(SECRET));
    assert!(error.to_string().starts_with("value must take at most "), "{error}");
    assert!(error.to_string().ends_with(" bytes was given"), "{error}");
    assert_eq!(cache.get::<u32>("b").await.unwrap(), Some(1), "nothing made room for it");
    // A load of one is answered all the same.
    let loader = |_| async move { Ok::<_, std::io::Error>(large) };
    let loaded: String = cache.get_or_load("a", loader).await.unwrap();
    assert_eq!((loaded.len(), cache.stats().fills_failed), (6 << 20, 1));
    kit.assert_no_lease("a").await;
    assert_eq!(source.loads(), 0);
}

pub(crate) async fn builders_show_no_value(kit: Kit) {
    let cache = kit.cache();
    let shown = format!("{:?} {:?}", cache.set(SECRET, SECRET), cache.set_many([(SECRET, SECRET)]));
    let listed = format!("{:?}", SECRET.as_bytes());
    assert!(!shown.contains(SECRET) && !shown.contains(listed.trim_matches(['[', ']'])), "{shown}");
}

rules! {
    every stack:
    wrong_input_names_field_limit_and_what_was_given,
    the_longest_key_and_ttl_are_fine,
    an_option_is_no_value_to_load,
    a_wrong_key_of_a_batch_fails_no_other,
    a_builder_names_every_wrong_setting,
    a_builder_without_a_keyspace_or_with_a_disagreement_says_so,
    builders_show_no_value,
}

/// The naive store takes everything.
mod bounded {
    use crate::kit::{Kind, run};

    #[tokio::test(start_paused = true)]
    async fn memory_refuses_what_is_too_large() {
        run(Kind::Memory, super::a_value_that_no_store_can_hold_is_too_large).await;
    }

    #[tokio::test(start_paused = true)]
    async fn memory_under_near_refuses_what_is_too_large() {
        run(Kind::Near, super::a_value_that_no_store_can_hold_is_too_large).await;
    }
}
