//! Typed caches over the engine.

use std::io;

use futures_util::{FutureExt, StreamExt};
use memstache_cluster::{EngineError, Key, KeySpace, Sourced, source_fn};
use memstache_core::{
    Cache, Coherence, ErrorKind, FormatId, Invalidation, Json, NearConfig, Outcome, Request, Response, Stack, Step,
    Transform,
};

use crate::kit::*;

#[tokio::test]
async fn a_typed_cache_over_a_source_reads_through_it() {
    let squares = source_fn(|key: Key| async move {
        let number = key.text().and_then(|text| text.parse::<u64>().ok());
        Ok(number.map(|number| Sourced::new((number * number).to_string()).tags(["squares"])))
    });
    let engine = alone(KeySpace::builder(KS).source(squares).format(FormatId::JSON).default_ttl(secs(60))).await;
    let stack = Stack::over(engine.service(KS).unwrap()).near(NearConfig::new(1 << 20).unwrap()).build();
    let cache = Cache::builder(stack).keyspace(KS).format(Json).build().unwrap();
    assert_eq!(cache.get::<u64>("12").await.unwrap(), Some(144));
    assert_eq!(cache.get::<u64>("none").await.unwrap(), None);
    let many = cache.get_many::<u64>(["3", "x", "4"]).await.unwrap();
    assert_eq!(many.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [Some(9), None, Some(16)]);
    let entry = cache.get_entry::<u64>("12").await.unwrap();
    assert_eq!((entry.outcome, entry.value), (Outcome::Hit, Some(144)));
    assert!(entry.ttl_left.is_some_and(|left| left > secs(50)));
    cache.set("12", &7_u64).await.unwrap();
    assert_eq!(cache.get::<u64>("12").await.unwrap(), Some(7));
    assert_eq!(engine.get(KS, "12").await.unwrap().as_deref(), Some(&b"7"[..]));
    cache.invalidate_tag("squares").await.unwrap();
    assert_eq!(engine.stats(KS).unwrap().local_loads, 5);
    assert_eq!(cache.get::<u64>("3").await.unwrap(), Some(9));
    assert_eq!(engine.stats(KS).unwrap().local_loads, 6, "the tags of the source hid it");
    let own = cache.get_or_load("none", |_| async { Ok::<_, io::Error>(1_u64) }).await.unwrap();
    assert_eq!(own, 1, "what the source does not have, a caller may load");
}

/// Flips every bit of every value.
#[derive(Clone)]
struct Flip;

impl Transform for Flip {
    type Pending = ();

    fn request(&self, mut request: Request) -> Step<(Request, ())> {
        for (_, entry) in request.entries_mut() {
            entry.value = entry.value.iter().map(|byte| !byte).collect();
        }
        Step::Now(Ok((request, ())))
    }

    fn response(&self, (): (), mut response: Response) -> Step<Response> {
        for entry in response.entries_mut() {
            entry.value = entry.value.iter().map(|byte| !byte).collect();
        }
        Step::Now(Ok(response))
    }
}

#[tokio::test]
async fn layers_run_below_the_load() {
    let source = Counting::default();
    let layers = |store| Stack::over(store).seal(Flip).build();
    let engine = alone(sourced(&source).layers(layers)).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"));
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"));
    engine.put(KS, "a", "put").await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("put"));
    let many = engine.get_many(KS, ["a", "b"]).await.unwrap();
    assert_eq!(many[1].as_ref().unwrap().as_deref(), Some(&b"b#1"[..]));
    assert_eq!(source.total(), 2);
}

#[tokio::test]
async fn a_service_outlives_updates_and_deletions_of_its_keyspace() {
    let engine = alone(KeySpace::builder(KS)).await;
    let service = engine.service(KS).unwrap();
    let mut changes = service.subscribe();
    let cache = Cache::builder(Stack::over(service).build()).keyspace(KS).format(Json).build().unwrap();
    cache.set("a", &1).await.unwrap();
    assert!(matches!(changes.next().now_or_never(), Some(Some(Invalidation::Address(_)))));
    engine.update_keyspace(KeySpace::builder(KS).max_bytes(1 << 20).build().unwrap()).await.unwrap();
    assert!(matches!(changes.next().now_or_never(), Some(Some(Invalidation::Gap))));
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
    cache.set("a", &2).await.unwrap();
    assert!(matches!(changes.next().now_or_never(), Some(Some(Invalidation::Address(_)))));
    engine.delete_keyspace(KS).await.unwrap();
    assert!(matches!(changes.next().now_or_never(), Some(Some(Invalidation::Gap))));
    let error = cache.set("a", &3).await.unwrap_err();
    assert_eq!((error.kind(), error.find_source()), (ErrorKind::Invalid, Some(&EngineError::KeyspaceNotFound)));
    assert!(changes.next().now_or_never().is_none());
    engine.create_keyspace(KeySpace::builder(KS).build().unwrap()).await.unwrap();
    assert!(matches!(changes.next().now_or_never(), Some(Some(Invalidation::Gap))));
    cache.set("a", &4).await.unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(4));
}
