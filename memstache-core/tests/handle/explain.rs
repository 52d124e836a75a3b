//! Why a key is answered, or not: one test for each reason, and what an explanation must leave alone.

use std::{io, sync::Arc};

use memstache_core::{
    Address, Cache, ErasedService, Error, ErrorKind, Explanation, Invalidation, Json, Lifetime, Lookup, MemoryStore,
    NearConfig, NearLayer, NewEntry, Outcome, PolicyKind, Reason, Request, Response, Set, Stack, Step, Store, TenantId,
    Transform,
    testing::{Fault, Faults, ManualClock, NaiveStore},
};
use tower::Layer as _;

use crate::{
    health::Told,
    kit::{Kind, Kit, secs, settle},
};

type Verdict = (Option<Outcome>, Option<Reason>);

fn verdict(explanation: &Explanation) -> Verdict {
    (explanation.outcome, explanation.reason)
}

async fn of(cache: &Cache<Json>, key: &str) -> Verdict {
    verdict(&cache.explain(key).await.unwrap())
}

const fn miss(reason: Reason) -> Verdict {
    (Some(Outcome::Miss), Some(reason))
}

const HIT: Verdict = (Some(Outcome::Hit), None);

#[tokio::test(start_paused = true)]
async fn each_reason_over_the_memory_store() {
    let kit = Kit::new(Kind::Memory);
    let cache = kit.builder().ttl(secs(60)).stale_for(secs(30)).build().unwrap();
    assert_eq!(of(&cache, "a").await, miss(Reason::NeverStored));

    cache.set("a", &1).tags(["t"]).await.unwrap();
    assert_eq!(of(&cache, "a").await, HIT);
    cache.invalidate_tag("t").await.unwrap();
    assert_eq!(of(&cache, "a").await, miss(Reason::Tag), "while it is held");
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
    assert_eq!(of(&cache, "a").await, miss(Reason::Tag), "once it is gone");

    cache.set("a", &1).await.unwrap();
    cache.clear().await.unwrap();
    assert_eq!(of(&cache, "a").await, miss(Reason::Cleared));
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
    assert_eq!(of(&cache, "a").await, miss(Reason::Cleared));

    cache.set("a", &1).await.unwrap();
    cache.remove("a").await.unwrap();
    assert_eq!(of(&cache, "a").await, miss(Reason::Removed));

    cache.set("a", &1).await.unwrap();
    kit.clock.advance(secs(60));
    assert_eq!(of(&cache, "a").await, (Some(Outcome::Stale), None));
    kit.clock.advance(secs(30));
    assert_eq!(of(&cache, "a").await, miss(Reason::Expired));
    kit.pass(secs(2)).await;
    let swept = cache.explain("a").await.unwrap();
    assert_eq!((verdict(&swept), swept.tiers[0].entry.is_none()), (miss(Reason::Expired), true));
}

#[tokio::test(start_paused = true)]
async fn each_reason_that_lies_with_the_handle() {
    let kit = Kit::new(Kind::Memory);
    let cache = kit.cache();
    cache.set("a", &1).await.unwrap();

    let other = kit.builder().schema("thing", 2).build().unwrap();
    assert_eq!(of(&other, "a").await, miss(Reason::Schema));

    let young = kit.builder().max_staleness(secs(5)).build().unwrap();
    assert_eq!(of(&young, "a").await, HIT, "a store that is the authority confirms what is fresh");

    let absent = |_| async { Err::<u8, _>(io::Error::other("none")) };
    assert!(cache.get_or_load("gone", absent).await.is_err());
    let none = kit.builder().negative_ttl(secs(60)).build().unwrap();
    let loaded: Option<u8> = none.get_or_load("b", |_| async { Ok::<_, io::Error>(None) }).optional().await.unwrap();
    assert_eq!(loaded, None);
    assert_eq!(of(&none, "b").await, (Some(Outcome::Negative), None));

    let mut entry = NewEntry::new("x", Lifetime::UNLIMITED);
    entry.content.format = memstache_core::FormatId(200);
    cache.run(Set::one(kit.address("c"), entry.clone())).await.unwrap();
    assert_eq!(of(&cache, "c").await, miss(Reason::Rejected), "another format");
    (entry.content.format, entry.content.sealed) = (memstache_core::FormatId::JSON, true);
    cache.run(Set::one(kit.address("d"), entry)).await.unwrap();
    assert_eq!(of(&cache, "d").await, miss(Reason::Rejected), "nobody opens it");
    assert_eq!(cache.stats().rejected_unopened, 0, "nobody tried to read it");
}

#[tokio::test(start_paused = true)]
async fn what_was_evicted_and_a_tenant_that_was_cleared() {
    let store = MemoryStore::builder().max_bytes(1 << 16).shards(1).policy_kind(PolicyKind::Lru).build().unwrap();
    let cache = Cache::builder(Stack::over(store).build()).keyspace("k").format(Json).build_tenanted().unwrap();
    let tenant = TenantId::new("acme").unwrap();
    let acme = cache.for_tenant(&tenant);
    assert_eq!(of(&cache.shared(), "0").await, miss(Reason::NeverStored));
    for key in 0..40 {
        acme.set(key.to_string(), &"x".repeat(2000)).await.unwrap();
    }
    let mut why = Vec::new();
    for key in 0..40 {
        why.push(of(&acme, &key.to_string()).await);
    }
    let held = why.iter().position(|why| *why == HIT).unwrap();
    assert!((1..40).contains(&held) && why[held..].iter().all(|why| *why == HIT), "the last stay: {why:?}");
    // The memory of departures is small here, and hashes are drawn: a later one may have taken another's place.
    let (evicted, forgotten) = (miss(Reason::Evicted), miss(Reason::NotHeld));
    assert!(why[..held].iter().all(|why| [evicted, forgotten].contains(why)), "{why:?}");
    assert!(why[..held].iter().filter(|why| **why == evicted).count() > held / 2, "{why:?}");
    cache.clear_tenant(&tenant).await.unwrap();
    assert_eq!(of(&acme, "39").await, miss(Reason::Cleared));
    assert_eq!(of(&cache.shared(), "39").await.0, Some(Outcome::Miss), "another's key");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_or_hangs_is_unavailable_and_copies_stand_in() {
    let kit = Kit::new(Kind::Near);
    let cache = kit.builder().ttl(secs(60)).stale_for(secs(60)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    // What was written is told to the near cache, too: the copy is dropped once.
    settle().await;
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    let near = cache.explain("a").await.unwrap();
    assert_eq!((verdict(&near), near.tier.as_deref()), (HIT, Some("near")));
    assert_eq!(near.tiers.len(), 2, "the store is asked, too");

    kit.fail(ErrorKind::Unavailable, &["explain"]);
    assert_eq!(of(&cache, "a").await, HIT, "the copy is fresh");
    let down = cache.explain("b").await.unwrap();
    assert_eq!((verdict(&down), down.error), ((None, Some(Reason::Unavailable)), Some(ErrorKind::Unavailable)));
    kit.clock.advance(secs(61));
    let stale = cache.explain("a").await.unwrap();
    assert_eq!((stale.outcome, stale.tier.as_deref()), (Some(Outcome::Stale), Some("near")));
    assert_eq!(stale.reason, Some(Reason::Unavailable));
    kit.faults.heal();

    kit.hang(&["explain"]);
    let hung = tokio::spawn({
        let cache = cache.clone();
        async move { cache.explain("a").await.unwrap() }
    });
    settle().await;
    kit.clock.advance(secs(2));
    let hung = hung.await.unwrap();
    assert_eq!((hung.error, hung.tier.as_deref()), (Some(ErrorKind::Timeout), Some("near")));
    kit.faults.heal();
    assert_eq!(cache.get_entry::<u8>("a").await.unwrap().outcome, Outcome::Stale, "as explained");
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_knows_no_explanations_is_asked_what_is_live() {
    let kit = Kit::new(Kind::Memory);
    let cache = kit.cache();
    cache.set("a", &1).await.unwrap();
    kit.fail(ErrorKind::Unsupported, &["explain"]);
    let live = cache.explain("a").await.unwrap();
    assert_eq!((verdict(&live), live.tier.as_deref()), (HIT, Some("store")));
    assert!(live.tiers[0].entry.is_none());
    assert_eq!(of(&cache, "b").await, miss(Reason::NotHeld));

    let naive = Stack::over(NaiveStore::new(kit.clock.clone()).service()).build();
    let cache = kit.builder_on(naive).build().unwrap();
    cache.set("a", &1).await.unwrap();
    assert_eq!(
        (of(&cache, "a").await, of(&cache, "b").await),
        (HIT, miss(Reason::NotHeld)),
        "what a store has by default"
    );
}

#[tokio::test(start_paused = true)]
async fn a_near_cache_that_answers_no_hits_at_once_is_told_all_the_same() {
    let (clock, faults) = (ManualClock::new(), Faults::new());
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    let config = NearConfig::new(1 << 20).unwrap().with_clock(clock.clone());
    let near = NearLayer::new(config, store.clone()).layer(faults.layer(store));
    let cache = Cache::builder(ErasedService::new(near)).keyspace("k").format(Json).clock(clock).build().unwrap();
    cache.set("a", &1).await.unwrap();
    settle().await;
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    let both = cache.explain("a").await.unwrap();
    assert_eq!((both.tier.as_deref(), both.tiers.len()), (Some("near"), 2));
    faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "gone")).when(|op| op.name() == "explain"));
    let alone = cache.explain("a").await.unwrap();
    assert_eq!((alone.tier.as_deref(), alone.tiers[1].reason), (Some("near"), Some(Reason::Unavailable)));
    assert_eq!(of(&cache, "b").await, (None, Some(Reason::Unavailable)));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_under_way_is_told() {
    let kit = Kit::new(Kind::Near);
    let cache = kit.cache();
    let gate = memstache_core::testing::Gate::new();
    let loading = tokio::spawn({
        let (cache, gate) = (cache.clone(), gate.clone());
        async move {
            cache
                .get_or_load("a", move |_| async move {
                    gate.pass().await;
                    Ok::<_, io::Error>(7)
                })
                .await
        }
    });
    gate.arrived(1).await;
    let explained = cache.explain("a").await.unwrap();
    assert!(explained.tiers.last().unwrap().loading, "{explained}");
    assert!(explained.to_string().ends_with("it is being loaded"), "{explained}");
    gate.open();
    let loaded: u8 = loading.await.unwrap().unwrap();
    assert_eq!(loaded, 7);
    assert!(!cache.explain("a").await.unwrap().tiers.iter().any(|tier| tier.loading));
}

#[tokio::test(start_paused = true)]
async fn near_copies_say_why_they_went() {
    let kit = Kit::new(Kind::Near);
    let (cache, other) = (kit.cache(), kit.other_cache());
    let near = |explanation: Explanation| explanation.tiers[0].reason;
    for (key, tag) in [("a", "t"), ("b", "u"), ("c", "v")] {
        cache.set(key, &1).tags([tag]).await.unwrap();
        cache.get::<u8>(key).await.unwrap();
        settle().await;
        cache.get::<u8>(key).await.unwrap();
    }
    assert_eq!(near(cache.explain("z").await.unwrap()), Some(Reason::NeverStored));
    other.remove("a").await.unwrap();
    other.invalidate_tag("u").await.unwrap();
    settle().await;
    assert_eq!(near(cache.explain("a").await.unwrap()), Some(Reason::Removed));
    assert_eq!(near(cache.explain("b").await.unwrap()), Some(Reason::Tag));
    cache.clear().await.unwrap();
    assert_eq!(near(cache.explain("c").await.unwrap()), Some(Reason::Cleared));
    assert_eq!(cache.get::<u8>("c").await.unwrap(), None);
    assert_eq!(near(cache.explain("c").await.unwrap()), Some(Reason::Cleared), "once it is gone");
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_stream_of_changes_is_cut_is_unverified_and_then_too_old() {
    let (clock, faults) = (ManualClock::new(), Faults::new());
    let (changes, told) = tokio::sync::mpsc::channel(8);
    let config = NearConfig::new(1 << 20).unwrap().with_clock(clock.clone());
    let store = faults.layer(NaiveStore::new(clock.clone()).service());
    let stack = ErasedService::new(NearLayer::new(config, Told::new(told)).layer(store));
    let builder = Cache::builder(stack).keyspace("k").format(Json).clock(clock.clone()).ttl(secs(600));
    let cache = builder.max_staleness(secs(5)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    let near = |explanation: &Explanation| (explanation.tiers[0].outcome, explanation.tiers[0].reason);
    let explained = cache.explain("a").await.unwrap();
    assert_eq!((near(&explained), explained.tier.as_deref()), (HIT, Some("near")));

    changes.send(Invalidation::Lost).await.unwrap();
    settle().await;
    let explained = cache.explain("a").await.unwrap();
    assert_eq!(near(&explained), (None, Some(Reason::Unverified)));
    assert_eq!((verdict(&explained), explained.tier.as_deref()), (HIT, Some("store")), "the store can be asked");

    faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "gone")));
    clock.advance(secs(5));
    let explained = cache.explain("a").await.unwrap();
    assert_eq!(near(&explained), (None, Some(Reason::Unverified)));
    let stale = (Some(Outcome::Stale), Some(Reason::Unavailable));
    assert_eq!((verdict(&explained), explained.tier.as_deref()), (stale, Some("near")));
    assert_eq!(cache.read().allow_stale().get::<u8>("a").await.unwrap(), Some(1), "as is told");

    clock.advance(secs(1));
    let explained = cache.explain("a").await.unwrap();
    assert_eq!(near(&explained), (None, Some(Reason::TooOld)));
    assert_eq!((verdict(&explained), explained.tier), ((None, Some(Reason::Unavailable)), None));
    let error = cache.read().allow_stale().get::<u8>("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "as is told");

    // With the stream whole, it is too old for this reader all the same, and the store is asked.
    faults.heal();
    changes.send(Invalidation::Restored).await.unwrap();
    settle().await;
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    clock.advance(secs(6));
    let explained = cache.explain("a").await.unwrap();
    assert_eq!((near(&explained), verdict(&explained)), ((None, Some(Reason::TooOld)), HIT));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed() {
    let kit = Kit::new(Kind::Near);
    let cache = kit.builder().ttl(secs(600)).sliding(secs(10)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    let before = cache.stats();
    kit.clock.advance(secs(8));
    for _ in 0..3 {
        let explained = cache.explain("a").await.unwrap();
        assert_eq!(explained.tiers[1].entry.as_ref().unwrap().fresh_for, Some(secs(2)));
        assert_eq!(of(&cache, "b").await.0, Some(Outcome::Miss));
    }
    kit.assert_no_lease("b").await;
    assert_eq!(cache.stats(), before);
    kit.clock.advance(secs(2));
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None, "its window was not extended");
}

#[tokio::test(start_paused = true)]
async fn it_is_no_use_to_the_policy_and_counted_by_no_store() {
    let store = MemoryStore::builder().max_bytes(1 << 16).shards(1).policy_kind(PolicyKind::Lru).build().unwrap();
    let stack = Stack::over(store.clone()).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    cache.set("first", &"x".repeat(2000)).await.unwrap();
    let before = store.stats();
    for key in 0..20 {
        cache.set(key.to_string(), &"x".repeat(2000)).await.unwrap();
        assert_eq!(of(&cache, "first").await, HIT);
    }
    assert_eq!((store.stats().hits, store.stats().misses), (before.hits, before.misses));
    let mut more = 20..40;
    while of(&cache, "first").await == HIT {
        let key = more.next().expect("there is no room for all").to_string();
        cache.set(key, &"x".repeat(2000)).await.unwrap();
    }
    assert_eq!(of(&cache, "first").await.0, Some(Outcome::Miss));
    for key in 1..more.start {
        assert_eq!(of(&cache, &key.to_string()).await, HIT, "the oldest was the first to go");
    }
}

/// Refuses values whose last byte was changed; reads nothing else.
#[derive(Clone)]
struct Checked {
    keys: Arc<std::sync::atomic::AtomicBool>,
}

impl Transform for Checked {
    type Pending = ();

    fn request(&self, mut request: Request) -> Step<(Request, ())> {
        for (_, entry) in request.entries_mut() {
            entry.content.sealed = true;
            entry.value = [&entry.value[..], b"!"].concat().into();
        }
        Step::Wait(Box::pin(async move { Ok((request, ())) }))
    }

    fn response(&self, (): (), mut response: Response) -> Step<Response> {
        let keys = self.keys.load(std::sync::atomic::Ordering::SeqCst);
        if let Response::Found(found) = &mut response {
            for item in found.iter_mut() {
                let Ok(Lookup::Hit(entry) | Lookup::Stale(entry, _)) = item else { continue };
                let version = entry.meta.version;
                match entry.value.strip_suffix(b"!") {
                    _ if !keys => *item = Err(Error::new(ErrorKind::Unavailable, "no keys")),
                    Some(plain) => {
                        entry.value = plain.to_vec().into();
                        entry.meta.content.sealed = false;
                    }
                    None => *item = Err(Error::rejected(version)),
                }
            }
        }
        Step::Wait(Box::pin(async move { Ok(response) }))
    }
}

#[tokio::test(start_paused = true)]
async fn what_layers_cannot_open_is_rejected() {
    let (clock, keys) = (ManualClock::new(), Arc::new(true.into()));
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    let near = NearConfig::new(1 << 20).unwrap().with_clock(clock.clone());
    let stack = Stack::over(store.clone()).seal(Checked { keys: Arc::clone(&keys) }).near(near).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).clock(clock).build().unwrap();
    cache.set("a", &1).await.unwrap();
    assert_eq!(of(&cache, "a").await, HIT);
    let mut forged = NewEntry::new("1?", Lifetime::UNLIMITED);
    (forged.content.sealed, forged.content.format) = (true, memstache_core::FormatId::JSON);
    let address = Address::plain(cache.space(), "b").unwrap();
    store.set(Set::one(address, forged)).await.unwrap();
    assert_eq!(of(&cache, "b").await, miss(Reason::Rejected));
    assert_eq!(of(&cache, "c").await, miss(Reason::NeverStored));
    keys.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(of(&cache, "a").await, (None, Some(Reason::Unavailable)), "that may be passing");
}

#[tokio::test(start_paused = true)]
async fn neither_key_nor_value_nor_tag_is_shown() {
    let kit = Kit::new(Kind::Near);
    let cache = kit.cache();
    cache.set("secret-key", "secret-value").tags(["secret-tag"]).await.unwrap();
    kit.clock.advance(secs(12));
    cache.get::<String>("secret-key").await.unwrap();
    let held = cache.explain("secret-key").await.unwrap();
    cache.invalidate_tag("secret-tag").await.unwrap();
    for explained in [&held, &cache.explain("secret-key").await.unwrap()] {
        let json = serde_json::to_string(explained).unwrap();
        for shown in [explained.to_string(), format!("{explained:?}"), json] {
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
    assert_eq!(
        held.to_string(),
        "hit by near; near holds a value of 14 bytes, written 12 s ago, fresh for 48 s; \
         memory holds a value of 14 bytes, written 12 s ago, fresh for 48 s"
    );
    let json = serde_json::to_value(&held).unwrap();
    assert_eq!((&json["outcome"], &json["tier"], &json["reason"]), (&"hit".into(), &"near".into(), &().into()));
    let entry = &json["tiers"][1]["entry"];
    assert_eq!((&entry["age_ms"], &entry["fresh_for_ms"], &entry["tags"]), (&12_000.into(), &48_000.into(), &1.into()));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_none_is_an_error_and_a_dropped_question_leaves_nothing() {
    let kit = Kit::new(Kind::Memory);
    let cache = kit.cache();
    assert_eq!(cache.explain("").await.unwrap_err().kind(), ErrorKind::Invalid);
    kit.hang(&["explain"]);
    drop(tokio::time::timeout(secs(0), cache.explain("a")).await);
    kit.faults.heal();
    kit.assert_no_lease("a").await;
    assert_eq!(of(&cache, "a").await, miss(Reason::NeverStored));
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_answers_too_few_is_told_as_such() {
    let clock = ManualClock::new();
    let faults = Faults::new();
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    let stack = ErasedService::new(faults.layer(store));
    let cache = Cache::builder(stack).keyspace("k").format(Json).clock(clock).build().unwrap();
    faults.inject(Fault::after(Error::new(ErrorKind::Overloaded, "full")).when(|op| op.name() == "explain"));
    let explained = cache.explain("a").await.unwrap();
    assert_eq!(
        (verdict(&explained), explained.error),
        ((None, Some(Reason::Unavailable)), Some(ErrorKind::Overloaded))
    );
    assert_eq!(explained.to_string(), "error: in store it could not be asked for (overloaded)");
}
