//! Load, remove while loading, late fill: who asks after an invalidation never gets what was loaded before it.

use memstache_core::{Cache, ErrorKind, Json, TenantId};

use crate::kit::{Kit, Source, ask, ask_many, kind, rules, settle, values};

/// Invalidates a key in the middle of its load. Returns how many fills were refused.
async fn overtake(cache: &Cache<Json>, invalidate: impl AsyncFnOnce()) -> u64 {
    let (old, new) = (Source::gated(), Source::open());
    let load = |cache: Cache<Json>, loader| async move {
        cache.get_or_load::<u32, _, _, _, _, _>("a", loader).tags(["t"]).await
    };
    let first = tokio::spawn(load(cache.clone(), old.brings(1)));
    let joined = ask(cache, "a", new.brings(9));
    settle().await;
    assert_eq!((old.loads(), new.loads()), (1, 0));

    invalidate().await;
    let later = ask(cache, "a", new.brings(2));
    settle().await;
    old.gate.open();
    assert_eq!(first.await.unwrap().unwrap(), 1, "its own callers get the value");
    assert_eq!(joined.await.unwrap().unwrap(), 1, "who joined before, too");
    assert_eq!(later.await.unwrap().unwrap(), 2, "nobody who asks after");
    assert_eq!(new.loads(), 1);
    settle().await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(2));
    assert_eq!(cache.loads_in_flight(), 0);
    cache.stats().fills_refused
}

pub(crate) async fn a_late_fill_after_remove_is_refused(kit: Kit) {
    let cache = kit.cache();
    assert_eq!(overtake(&cache, async || assert!(!cache.remove("a").await.unwrap())).await, 1);
}

pub(crate) async fn a_late_fill_after_a_batch_removal_is_refused(kit: Kit) {
    let cache = kit.cache();
    let remove = async || assert!(cache.remove_many(["b", "a"]).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(overtake(&cache, remove).await, 1);
}

pub(crate) async fn a_late_fill_after_another_handles_remove_is_refused(kit: Kit) {
    let (cache, other) = (kit.cache(), kit.other_cache());
    assert_eq!(overtake(&cache, async || assert!(!other.remove("a").await.unwrap())).await, 1);
}

pub(crate) async fn a_late_fill_after_clear_is_refused(kit: Kit) {
    let cache = kit.cache();
    assert_eq!(overtake(&cache, async || cache.clear().await.unwrap()).await, 1);
}

pub(crate) async fn a_late_fill_after_another_handles_clear_is_refused(kit: Kit) {
    let (cache, other) = (kit.cache(), kit.other_cache());
    assert_eq!(overtake(&cache, async || other.clear().await.unwrap()).await, 1);
}

pub(crate) async fn a_late_fill_after_clear_tenant_is_refused(kit: Kit) {
    let tenant = TenantId::new("acme").unwrap();
    let tenants = kit.builder().build_tenanted().unwrap();
    let cache = tenants.for_tenant(&tenant);
    assert_eq!(overtake(&cache, async || tenants.clear_tenant(&tenant).await.unwrap()).await, 1);
}

pub(crate) async fn a_late_fill_after_its_tags_invalidation_is_seen_by_nobody(kit: Kit) {
    let cache = kit.cache();
    overtake(&cache, async || cache.invalidate_tag("t").await.unwrap()).await;
}

pub(crate) async fn a_late_fill_after_another_handles_tag_invalidation_is_seen_by_nobody(kit: Kit) {
    let (cache, other) = (kit.cache(), kit.other_cache());
    overtake(&cache, async || other.invalidate_tags(["u", "t"]).await.unwrap()).await;
}

pub(crate) async fn a_late_fill_after_set_is_refused(kit: Kit) {
    let (cache, other, source) = (kit.cache(), kit.other_cache(), Source::gated());
    for (n, writer) in [&cache, &other].into_iter().enumerate() {
        cache.remove("a").await.unwrap();
        let source = if n == 0 { source.clone() } else { Source::gated() };
        let first = ask(&cache, "a", source.brings(1));
        settle().await;
        writer.set("a", &2).await.unwrap();
        settle().await;
        assert_eq!(ask(&cache, "a", source.brings(3)).await.unwrap().unwrap(), 2);
        source.gate.open();
        assert_eq!(first.await.unwrap().unwrap(), 1);
        assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(2));
        assert_eq!((source.loads(), cache.stats().fills_refused), (1, n as u64 + 1));
    }
}

pub(crate) async fn a_late_fill_after_a_batch_write_is_refused(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let first = ask(&cache, "a", source.brings(1));
    settle().await;
    cache.set_many([("b", &5), ("a", &2)]).await.unwrap();
    source.gate.open();
    assert_eq!(first.await.unwrap().unwrap(), 1);
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(2));
    assert_eq!(cache.stats().fills_refused, 1);
}

pub(crate) async fn a_late_fill_of_one_key_of_a_batch_load_is_refused_and_the_others_are_stored(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let batch = ask_many(&cache, &["a", "b", "c"], source.brings_each(|_| 1));
    settle().await;
    cache.remove("b").await.unwrap();
    source.gate.open();
    assert_eq!(values(batch.await.unwrap()), [Some(1); 3]);
    assert_eq!(values(cache.get_many(["a", "b", "c"]).await), [Some(1), None, Some(1)]);
    assert_eq!(cache.stats().fills_refused, 1);
}

pub(crate) async fn a_load_whose_caller_left_is_fenced_all_the_same(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let first = ask(&cache, "a", source.brings(1));
    settle().await;
    first.abort();
    cache.remove("a").await.unwrap();
    source.gate.open();
    settle().await;
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None);
    assert_eq!((cache.stats().fills_refused, cache.loads_in_flight()), (1, 0));
}

pub(crate) async fn a_failed_removal_is_an_error_and_leaves_the_running_load_alone(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::gated());
    let first = ask(&cache, "a", source.brings(1));
    settle().await;
    kit.fail(ErrorKind::Unavailable, &["remove"]);
    assert_eq!(kind(cache.remove("a").await), ErrorKind::Unavailable);
    kit.faults.heal();
    let second = ask(&cache, "a", source.brings(2));
    settle().await;
    assert_eq!(source.loads(), 1);
    source.gate.open();
    assert_eq!((first.await.unwrap().unwrap(), second.await.unwrap().unwrap()), (1, 1));
}

pub(crate) async fn a_tag_hides_what_carries_it_and_nothing_else(kit: Kit) {
    let cache = kit.cache();
    cache.set("a", &1).tags(["t", "u"]).await.unwrap();
    cache.set("b", &2).tags(["u"]).await.unwrap();
    cache.set("c", &3).await.unwrap();
    cache.invalidate_tag("t").await.unwrap();
    assert_eq!(values(cache.get_many(["a", "b", "c"]).await), [None, Some(2), Some(3)]);
    cache.clear().await.unwrap();
    assert_eq!(cache.get::<u32>("c").await.unwrap(), None);
}

pub(crate) async fn invalidating_no_tags_touches_nothing(kit: Kit) {
    let cache = kit.cache();
    cache.invalidate_tags(Vec::<String>::new()).await.unwrap();
    kit.recorder.assert_quiet();
}

rules! {
    every stack:
    a_late_fill_after_remove_is_refused,
    a_late_fill_after_a_batch_removal_is_refused,
    a_late_fill_after_another_handles_remove_is_refused,
    a_late_fill_after_clear_is_refused,
    a_late_fill_after_another_handles_clear_is_refused,
    a_late_fill_after_clear_tenant_is_refused,
    a_late_fill_after_its_tags_invalidation_is_seen_by_nobody,
    a_late_fill_after_another_handles_tag_invalidation_is_seen_by_nobody,
    a_late_fill_after_set_is_refused,
    a_late_fill_after_a_batch_write_is_refused,
    a_late_fill_of_one_key_of_a_batch_load_is_refused_and_the_others_are_stored,
    a_load_whose_caller_left_is_fenced_all_the_same,
    a_failed_removal_is_an_error_and_leaves_the_running_load_alone,
    a_tag_hides_what_carries_it_and_nothing_else,
    invalidating_no_tags_touches_nothing,
}
