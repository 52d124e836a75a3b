//! Values that are kept decoded: what holds for bytes holds for them.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use memstache_core::{
    Cache, ErrorKind, Format, FormatId, Json, LoadContext, MemoryStore, NearConfig, Outcome, Stack, TenantId,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::kit::{Kind, Kit, Source, kind, millis, rules, run, secs, settle};

thread_local! {
    static DECODED: Cell<usize> = const { Cell::new(0) };
}

/// A number that counts how often it is decoded.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Page(u32);

impl<'de> Deserialize<'de> for Page {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.set(DECODED.get() + 1);
        u32::deserialize(deserializer).map(Self)
    }
}

/// Reads in every way, the decoded one first; all must say the same.
async fn read(cache: &Cache<Json>, key: &str) -> Option<u32> {
    let first = cache.get_arc::<Page>(key).await.unwrap();
    let again = cache.get_arc::<Page>(key).await.unwrap();
    let bytes = cache.get::<Page>(key).await.unwrap();
    let many = cache.get_many_arc::<Page>([key]).await.unwrap().remove(0).unwrap();
    assert_eq!((first.as_deref(), again.as_deref(), many.as_deref()), (bytes.as_ref(), bytes.as_ref(), bytes.as_ref()));
    bytes.map(|Page(number)| number)
}

/// Asserts that a value is kept decoded.
async fn assert_kept(cache: &Cache<Json>, key: &str) {
    for _ in 0..2 {
        cache.get_arc::<Page>(key).await.unwrap().expect("it is there");
    }
    let before = DECODED.get();
    let pages = [cache.get_arc::<Page>(key).await.unwrap(), cache.get_arc::<Page>(key).await.unwrap()];
    assert_eq!(DECODED.get(), before, "kept");
    assert!(Arc::ptr_eq(pages[0].as_ref().unwrap(), pages[1].as_ref().unwrap()));
}

pub(crate) async fn what_changes_bytes_changes_what_was_decoded(kit: Kit) {
    let (cache, same, other) = (kit.cache(), kit.cache(), kit.other_cache());
    for (turn, handle) in (0..).zip([&cache, &same, &other]) {
        for how in 0..6 {
            cache.set("a", &turn).tags(["t"]).await.unwrap();
            assert_eq!(read(&cache, "a").await, Some(turn));
            let expected = match how {
                0 => handle.remove("a").await.map(|_| None).unwrap(),
                1 => handle.remove_many(["b", "a"]).await.map(|_| None).unwrap(),
                2 => handle.invalidate_tag("t").await.map(|()| None).unwrap(),
                3 => handle.clear().await.map(|()| None).unwrap(),
                4 => handle.set("a", &7).await.map(|_| Some(7)).unwrap(),
                _ => handle.set_many([("a", &8)]).await.map(|_| Some(8)).unwrap(),
            };
            if turn == 2 {
                settle().await;
            }
            assert_eq!(read(&cache, "a").await, expected, "way {how} of handle {turn}");
        }
    }
}

pub(crate) async fn tenants_have_decoded_values_of_their_own(kit: Kit) {
    let tenants = kit.builder().build_tenanted().unwrap();
    let name = |name| TenantId::new(name).unwrap();
    let handles = [tenants.for_tenant(&name("a")), tenants.for_tenant(&name("b")), tenants.shared()];
    for (value, cache) in (0..).zip(&handles) {
        assert_eq!(read(cache, "key").await, None);
        cache.set("key", &value).await.unwrap();
    }
    for (value, cache) in (0..).zip(&handles) {
        assert_eq!(read(cache, "key").await, Some(value));
    }
    tenants.clear_tenant(&name("b")).await.unwrap();
    let after = [read(&handles[0], "key").await, read(&handles[1], "key").await, read(&handles[2], "key").await];
    assert_eq!(after, [Some(0), None, Some(2)]);
}

/// JSON under another name, in which numbers are larger by a hundred.
#[derive(Clone)]
struct Hundred;

impl Format for Hundred {
    fn id(&self) -> FormatId {
        FormatId::FIRST_OWN
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> memstache_core::Result<Bytes> {
        Json.encode(value)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> memstache_core::Result<T> {
        let number: u32 = Json.decode(bytes)?;
        Json.decode((number + 100).to_string().as_bytes())
    }
}

pub(crate) async fn another_schema_or_format_sees_none_of_it(kit: Kit) {
    let plain = kit.cache();
    let first = kit.builder().schema("page", 1).build().unwrap();
    let second = kit.builder().schema("page", 2).build().unwrap();
    let hundred = kit.builder().format(Hundred).build().unwrap();
    first.set("a", &1).await.unwrap();
    assert_eq!(read(&first, "a").await, Some(1));
    assert_eq!((read(&second, "a").await, read(&plain, "a").await), (None, None));
    assert_eq!(hundred.get_arc::<Page>("a").await.unwrap(), None);
    assert_eq!(second.stats().rejected_schema, 4, "once a read");
    hundred.set("b", &1).await.unwrap();
    for _ in 0..3 {
        assert_eq!(hundred.get_arc::<Page>("b").await.unwrap().as_deref(), Some(&Page(101)));
        assert_eq!(read(&plain, "b").await, None);
    }
    assert_eq!((plain.stats().rejected_format, plain.stats().rejected_schema), (12, 4));
    second.set("a", &2).await.unwrap();
    assert_eq!((read(&first, "a").await, read(&second, "a").await), (None, Some(2)));
}

pub(crate) async fn another_type_is_decoded_from_the_bytes_or_a_miss(kit: Kit) {
    let cache = kit.cache();
    cache.set("a", &7).await.unwrap();
    for _ in 0..3 {
        assert_eq!(cache.get_arc::<Page>("a").await.unwrap().as_deref(), Some(&Page(7)));
        assert_eq!(cache.get_arc::<u64>("a").await.unwrap().as_deref(), Some(&7));
        assert_eq!(cache.get_arc::<String>("a").await.unwrap(), None);
        assert_eq!(cache.get_arc::<Option<u8>>("a").await.unwrap().as_deref(), Some(&Some(7)));
    }
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.rejected_decode, stats.requests), (9, 3, 3, 12));
}

pub(crate) async fn ends_to_the_tick(kit: Kit) {
    let cache = kit.builder().ttl(secs(10)).build().unwrap();
    cache.set("a", &1).await.unwrap();
    assert_eq!(read(&cache, "a").await, Some(1));
    kit.clock.advance(millis(9_999));
    assert_eq!(read(&cache, "a").await, Some(1));
    kit.clock.advance(millis(1));
    assert_eq!(read(&cache, "a").await, None);
}

pub(crate) async fn a_window_slides_with_decoded_hits_too(kit: Kit) {
    let (cache, other) = (kit.cache(), kit.other_cache());
    cache.set("a", &1).sliding(secs(10)).ttl(secs(40)).await.unwrap();
    cache.get_arc::<Page>("a").await.unwrap();
    for _ in 0..6 {
        kit.pass(secs(6)).await;
        assert_eq!(cache.get_arc::<Page>("a").await.unwrap().as_deref(), Some(&Page(1)));
        settle().await;
        assert!(other.exists("a").await.unwrap(), "the store was told of the read");
    }
    kit.pass(secs(4)).await;
    assert_eq!(cache.get_arc::<Page>("a").await.unwrap(), None, "never past its ttl");
}

pub(crate) async fn each_decoded_read_is_counted_once(kit: Kit) {
    let cache = kit.builder().ttl(secs(10)).stale_for(secs(60)).build().unwrap();
    assert_eq!(cache.get_arc::<Page>("a").await.unwrap(), None);
    cache.set("a", &1).await.unwrap();
    for _ in 0..4 {
        cache.get_arc::<Page>("a").await.unwrap().unwrap();
    }
    assert_eq!(kind(cache.get_arc::<Page>("").await), ErrorKind::Invalid);
    assert_eq!(kind(cache.read().timeout(secs(0)).get_arc::<Page>("a").await), ErrorKind::Invalid);
    kit.pass(secs(11)).await;
    assert_eq!(cache.get_arc::<Page>("a").await.unwrap(), None);
    assert_eq!(cache.read().allow_stale().get_arc::<Page>("a").await.unwrap().as_deref(), Some(&Page(1)));
    let stats = cache.stats();
    let counts = [stats.requests, stats.hits, stats.stale, stats.negative, stats.misses, stats.errors, stats.cancelled];
    assert_eq!(counts, [9, 4, 1, 0, 2, 2, 0]);
}

/// A value whose decoding panics.
#[derive(Debug)]
struct Mine;

impl<'de> Deserialize<'de> for Mine {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("on purpose")
    }
}

pub(crate) async fn a_panic_while_decoding_is_an_error_and_harms_nothing(kit: Kit) {
    let cache = kit.cache();
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u32>("a").await.unwrap(), Some(1));
    for _ in 0..3 {
        let cache = cache.clone();
        let task = tokio::spawn(async move { cache.get_arc::<Mine>("a").await });
        assert!(task.await.unwrap_err().is_panic());
    }
    assert_eq!(read(&cache, "a").await, Some(1));
    let stats = cache.stats();
    assert_eq!((stats.requests, stats.hits, stats.errors, stats.cancelled), (8, 5, 3, 0));
}

pub(crate) async fn a_load_may_be_answered_with_a_shared_value(kit: Kit) {
    let (cache, source) = (kit.cache(), Source::open());
    let loads = || source.answers(|_: LoadContext<u32>| Ok(7));
    for _ in 0..4 {
        let shared: Arc<u32> = cache.get_or_load("a", loads()).arc().await.unwrap();
        assert_eq!(*shared, 7);
    }
    assert_eq!(source.loads(), 1);
    let none = cache.get_or_load("b", source.answers(|_: LoadContext<u32>| Ok(None::<u32>))).optional().arc();
    assert_eq!(none.await.unwrap(), None);
    let missing = cache.get_or_load("b", source.answers(|_: LoadContext<u32>| Ok(None::<u32>))).arc();
    assert_eq!(kind(missing.await), ErrorKind::NotFound);
    kit.pass(secs(10)).await;
    for _ in 0..3 {
        let fetched = cache.get_or_load("a", loads()).entry().arc().await.unwrap();
        assert_eq!((fetched.value.as_deref(), fetched.outcome), (Some(&7), Outcome::Hit));
        assert_eq!((fetched.age, fetched.ttl_left), (secs(10), Some(secs(50))));
        assert!(fetched.version.is_some());
    }
    let stats = cache.stats();
    assert_eq!((stats.requests, stats.hits, stats.misses, stats.errors), (9, 6, 3, 0));
}

pub(crate) async fn a_shared_value_is_refreshed_ahead(kit: Kit) {
    let (cache, source) = (kit.builder().ttl(secs(10)).refresh_ahead(0.5).build().unwrap(), Source::open());
    for (value, pause) in [(1, 4), (1, 2), (3, 0)] {
        let next = source.loads() as u32 + 1;
        let loads = source.answers(move |_: LoadContext<u32>| Ok(if next == 1 { 1 } else { 3 }));
        assert_eq!(*cache.get_or_load("a", loads).arc().await.unwrap(), value);
        kit.pass(secs(pause)).await;
        let loads = source.answers(|_: LoadContext<u32>| Ok(3));
        if pause > 0 {
            assert_eq!(*cache.get_or_load("a", loads).arc().await.unwrap(), 1, "answered at once");
        }
        settle().await;
    }
    assert_eq!(source.loads(), 2);
}

rules! {
    every stack:
    what_changes_bytes_changes_what_was_decoded,
    tenants_have_decoded_values_of_their_own,
    another_schema_or_format_sees_none_of_it,
    another_type_is_decoded_from_the_bytes_or_a_miss,
    ends_to_the_tick,
    a_window_slides_with_decoded_hits_too,
    each_decoded_read_is_counted_once,
    a_panic_while_decoding_is_an_error_and_harms_nothing,
    a_load_may_be_answered_with_a_shared_value,
    a_shared_value_is_refreshed_ahead,
}

#[tokio::test(start_paused = true)]
async fn a_near_hit_is_decoded_once() {
    run(Kind::Near, async |kit: Kit| {
        let cache = kit.cache();
        cache.set("a", &1).await.unwrap();
        assert_kept(&cache, "a").await;
        // Another write is another value, though it has the same bytes.
        let before = cache.get_arc::<Page>("a").await.unwrap().unwrap();
        cache.set("a", &1).await.unwrap();
        assert!(!Arc::ptr_eq(&before, &cache.get_arc::<Page>("a").await.unwrap().unwrap()));
        assert_kept(&cache, "a").await;
        kit.recorder.clear();
        cache.get_many_arc::<Page>(["a", "a"]).await.unwrap();
        assert_eq!(kit.recorder.calls().len(), 0, "nothing is asked below");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_decoded_hit_is_as_old_as_its_entry_and_authority_passes_by() {
    run(Kind::Near, async |kit: Kit| {
        let cache = kit.cache();
        cache.set("a", &1).await.unwrap();
        settle().await;
        assert_kept(&cache, "a").await;
        kit.fail(ErrorKind::Unavailable, &["get"]);
        kit.pass(secs(5)).await;
        let at_most = |age| cache.read().max_staleness(secs(age));
        assert_eq!(at_most(5).get_arc::<Page>("a").await.unwrap().as_deref(), Some(&Page(1)));
        assert_eq!(kind(at_most(4).get_arc::<Page>("a").await), ErrorKind::Unavailable);
        assert_eq!(kind(cache.read().authority().get_arc::<Page>("a").await), ErrorKind::Unavailable);
        assert_eq!(kind(cache.read().authority().allow_stale().get_arc::<Page>("a").await), ErrorKind::Unavailable);
        let capped = kit.builder().max_staleness(secs(4)).build().unwrap();
        assert_eq!(kind(capped.get_arc::<Page>("a").await), ErrorKind::Unavailable);
        kit.faults.heal();
        assert_eq!(at_most(4).get_arc::<Page>("a").await.unwrap().as_deref(), Some(&Page(1)), "confirmed");
    })
    .await;
}

/// A text that counts how often it is decoded, by whomever.
#[derive(Debug)]
struct Slow(String);

static SLOW: AtomicUsize = AtomicUsize::new(0);

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SLOW.fetch_add(1, SeqCst);
        String::deserialize(deserializer).map(Self)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_who_read_at_once_get_equal_values_and_few_decode() {
    let store = MemoryStore::builder().max_bytes(8 << 20).build().unwrap();
    let stack = Stack::over(store).near(NearConfig::new(1 << 20).unwrap()).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    cache.set("a", "text").await.unwrap();
    let readers = (0..16).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move {
            for turn in 0..1000 {
                assert_eq!(cache.get_arc::<Slow>("a").await.unwrap().unwrap().0, "text");
                if turn % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    // Who is at it when the first one is done; over the store and over the copy.
    assert!(SLOW.load(SeqCst) <= 2 * 16, "{} of 16,000 decoded", SLOW.load(SeqCst));
    assert_eq!(cache.stats().hits, 16_000);
}
