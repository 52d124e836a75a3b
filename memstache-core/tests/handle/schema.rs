//! Values that cannot be opened: misses, reloaded once under a lease, counted by reason.

use bytes::Bytes;
use memstache_core::{Cache, CacheStats, Error, Format, FormatId, Json, Request, testing::Fault};
use serde::{Serialize, de::DeserializeOwned};

use crate::kit::{Kit, Source, ask, ask_many, rules, secs, settle, values};

/// JSON under another name.
#[derive(Clone)]
struct OtherFormat;

impl Format for OtherFormat {
    fn id(&self) -> FormatId {
        FormatId::FIRST_OWN
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> memstache_core::Result<Bytes> {
        Json.encode(value)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> memstache_core::Result<T> {
        Json.decode(bytes)
    }
}

/// A hundred callers meet a value that cannot be opened: one loads, all get the new one.
async fn reload_once(cache: &Cache<Json>, counter: fn(&CacheStats) -> u64) {
    assert_eq!(cache.get::<u32>("a").await.unwrap(), None, "a plain get is a miss");
    assert_eq!((counter(&cache.stats()), cache.stats().misses), (1, 1));
    let source = Source::gated();
    let callers: Vec<_> = (0..100).map(|_| ask(cache, "a", source.brings(7))).collect();
    settle().await;
    assert_eq!((source.loads(), cache.loads_in_flight()), (1, 1));
    source.gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), 7);
    }
    let stats = cache.stats();
    assert_eq!((source.loads(), stats.loads, stats.fills_refused), (1, 1, 0));
    assert_eq!(counter(&stats), 101, "counted once a call: {stats:?}");
    let all = stats.rejected_schema + stats.rejected_format + stats.rejected_decode + stats.rejected_unopened;
    assert_eq!(all, 101, "and for one reason: {stats:?}");
}

pub(crate) async fn a_value_of_another_schema_is_loaded_once(kit: Kit) {
    let old = kit.builder().schema("number", 1).build().unwrap();
    old.set("a", &1).await.unwrap();
    let new = kit.builder().schema("number", 2).build().unwrap();
    reload_once(&new, |stats| stats.rejected_schema).await;
    assert_eq!(new.get::<u32>("a").await.unwrap(), Some(7));
    assert_eq!(old.get::<u32>("a").await.unwrap(), None, "and it is of another schema for the old handle");
}

pub(crate) async fn a_value_without_a_schema_is_not_one_with(kit: Kit) {
    kit.cache().set("a", &1).await.unwrap();
    reload_once(&kit.builder().schema("number", 1).build().unwrap(), |stats| stats.rejected_schema).await;
}

pub(crate) async fn a_value_of_another_format_is_loaded_once(kit: Kit) {
    let other = kit.builder().format(OtherFormat).build().unwrap();
    other.set("a", &1).await.unwrap();
    reload_once(&kit.cache(), |stats| stats.rejected_format).await;
}

pub(crate) async fn undecodable_bytes_are_loaded_once(kit: Kit) {
    kit.cache().set("a", "no number").await.unwrap();
    reload_once(&kit.cache(), |stats| stats.rejected_decode).await;
}

pub(crate) async fn a_value_that_a_layer_rejects_is_loaded_once(kit: Kit) {
    let other = kit.other_cache();
    other.set("a", &1).await.unwrap();
    let version = other.get_entry::<u32>("a").await.unwrap().version.unwrap();
    let asked_plainly = |request: &Request| match request {
        Request::Get(get) => get.items.iter().all(|item| item.unless.is_none()),
        _ => false,
    };
    // As a layer below does: only the old version cannot be opened.
    kit.faults.inject(Fault::after(Error::rejected(version)).when(asked_plainly).times(101));
    reload_once(&kit.cache(), |stats| stats.rejected_unopened).await;
}

pub(crate) async fn a_stale_value_that_cannot_be_opened_is_loaded_under_its_lease(kit: Kit) {
    let old = kit.builder().schema("number", 1).ttl(secs(10)).stale_for(secs(60)).build().unwrap();
    old.set("a", &1).await.unwrap();
    kit.pass(secs(11)).await;
    let (new, source) = (kit.builder().schema("number", 2).build().unwrap(), Source::gated());
    let callers: Vec<_> = (0..20).map(|_| ask(&new, "a", source.brings(7))).collect();
    settle().await;
    assert_eq!(source.loads(), 1);
    source.gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), 7);
    }
    assert_eq!(source.loads(), 1);
}

pub(crate) async fn a_batch_of_values_that_cannot_be_opened_is_loaded_by_one_call(kit: Kit) {
    let old = kit.builder().schema("number", 1).build().unwrap();
    old.set_many([("a", &1), ("b", &2), ("c", &3)]).await.unwrap();
    let (new, source) = (kit.builder().schema("number", 2).build().unwrap(), Source::open());
    let answers = ask_many(&new, &["a", "b", "c", "d"], source.brings_each(|_| 7)).await.unwrap();
    assert_eq!(values(answers), [Some(7); 4]);
    // The missing one at once, the others together once the store was asked again.
    assert_eq!(source.loads(), 2);
    assert_eq!((new.stats().loads, new.stats().rejected_schema), (4, 3));
    assert_eq!(new.loads_in_flight(), 0);
}

rules! {
    every stack:
    a_value_of_another_schema_is_loaded_once,
    a_value_without_a_schema_is_not_one_with,
    a_value_of_another_format_is_loaded_once,
    undecodable_bytes_are_loaded_once,
    a_value_that_a_layer_rejects_is_loaded_once,
    a_stale_value_that_cannot_be_opened_is_loaded_under_its_lease,
    a_batch_of_values_that_cannot_be_opened_is_loaded_by_one_call,
}
