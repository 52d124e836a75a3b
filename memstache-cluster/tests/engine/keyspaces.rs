//! Keyspaces that come, change and go while the engine is used.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use memstache_cluster::{Engine, EngineError, EngineEvent, KeySpace, KeySpaceChange};
use memstache_core::{Error, ErrorKind, TenantId};

use crate::kit::*;

fn cause(error: &Error) -> Option<EngineError> {
    error.find_source::<EngineError>().copied()
}

/// An engine that does not load hot keys ahead after an update.
async fn without_warm_up(source: &Counting) -> Engine {
    let engine = Engine::builder().keyspace(sourced(source).build().unwrap()).without_warm_up().build().unwrap();
    engine.start().await.unwrap();
    engine
}

#[tokio::test]
async fn keyspaces_come_and_go() {
    let engine = alone(KeySpace::builder(KS)).await;
    let names = || engine.keyspaces().iter().map(|keyspace| keyspace.name().as_str().to_owned()).collect::<Vec<_>>();
    engine.create_keyspace(KeySpace::builder("b").build().unwrap()).await.unwrap();
    engine.create_keyspace(KeySpace::builder("a").build().unwrap()).await.unwrap();
    assert_eq!(names(), ["a", "b", KS]);
    let twice = engine.create_keyspace(KeySpace::builder("a").build().unwrap()).await.unwrap_err();
    assert_eq!((twice.kind(), cause(&twice)), (ErrorKind::Conflict, Some(EngineError::KeyspaceExists)));

    engine.put("a", "k", "v").await.unwrap();
    engine.delete_keyspace("a").await.unwrap();
    for result in [
        engine.get("a", "k").await.map(drop),
        engine.put("a", "k", "v").await,
        engine.delete("a", "k").await.map(drop),
        engine.get_many("a", ["k"]).await.map(drop),
        engine.service("a").map(drop),
        engine.stats("a").map(drop),
        engine.delete_keyspace("a").await,
        engine.update_keyspace(KeySpace::builder("a").build().unwrap()).await,
        engine.flush("a").await.map(drop),
        engine.get("no name", "k").await.map(drop),
    ] {
        assert_eq!(cause(&result.unwrap_err()), Some(EngineError::KeyspaceNotFound));
    }
    engine.create_keyspace(KeySpace::builder("a").build().unwrap()).await.unwrap();
    assert_eq!(engine.get("a", "k").await.unwrap(), None, "nothing is left of the one before");
    let deleted = engine.delete_keyspaces(["a", "x", "b"]).await;
    assert_eq!(deleted.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(names(), [KS]);
}

#[tokio::test]
async fn there_are_not_more_keyspaces_than_may_be() {
    let engine = Engine::builder().build().unwrap();
    let keyspace = |n: usize| KeySpace::builder(format!("k{n}")).max_bytes(64 << 10).build().unwrap();
    for n in 0..1024 {
        engine.create_keyspace(keyspace(n)).await.unwrap();
    }
    let error = engine.create_keyspace(keyspace(1024)).await.unwrap_err();
    assert_eq!(cause(&error), Some(EngineError::TooManyKeyspaces));
    engine.delete_keyspace("k7").await.unwrap();
    engine.create_keyspace(keyspace(1024)).await.unwrap();
}

#[tokio::test]
async fn what_becomes_of_keyspaces_is_told() {
    let engine = alone(KeySpace::builder(KS)).await;
    let mut events = engine.events();
    let status = |name: &str| engine.keyspaces().into_iter().find(|keyspace| keyspace.name().as_str() == name).unwrap();
    engine.create_keyspace(KeySpace::builder("a").build().unwrap()).await.unwrap();
    assert_eq!((status("a").version(), status("a").is_defined(), status("a").has_source()), (1, true, false));
    engine.update_keyspace(KeySpace::builder("a").max_bytes(1 << 20).build().unwrap()).await.unwrap();
    assert_eq!((status("a").version(), status("a").max_bytes()), (2, 1 << 20));
    engine.flush("a").await.unwrap();
    engine.delete_keyspace("a").await.unwrap();
    engine.create_keyspace(KeySpace::builder("a").build().unwrap()).await.unwrap();
    assert_eq!(status("a").version(), 4, "it goes on from the one that was deleted");
    use KeySpaceChange::*;
    for expected in [Created, Updated, Flushed, Deleted, Created] {
        match events.next().await {
            Some(EngineEvent::KeySpace { keyspace, change }) => {
                assert_eq!((keyspace.as_str(), change), ("a", expected))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_hides_all_tenants_and_loads_under_way() {
    let source = Counting::default();
    let engine = alone(sourced(&source)).await;
    let acme = engine.for_tenant(&TenantId::new("acme").unwrap());
    for handle in [&engine, &acme] {
        handle.put(KS, "k", "put").await.unwrap();
    }
    let (reader, begun) = (engine.clone(), source.begun());
    let waits = tokio::spawn(async move { read(&reader, "gated").await });
    begun.await;
    let first = engine.flush(KS).await.unwrap();
    source.open();
    assert_eq!(waits.await.unwrap().as_deref(), Some("gated#1"), "who asked before gets it");
    for (handle, expected) in [(&engine, "k#1"), (&acme, "k#2")] {
        assert_eq!(read(handle, "k").await.as_deref(), Some(expected));
    }
    assert_eq!(read(&engine, "gated").await.as_deref(), Some("gated#2"));
    engine.put(KS, "k", "again").await.unwrap();
    assert!(engine.flush(KS).await.unwrap() > first);
    assert_ne!(read(&engine, "k").await.as_deref(), Some("again"));
}

#[tokio::test]
async fn an_update_keeps_entries_where_it_may() {
    let source = Counting::default();
    let engine = without_warm_up(&source).await;
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"));
    engine.update_keyspace(sourced(&source).default_ttl(secs(60)).build().unwrap()).await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"));
    assert_eq!(engine.stats(KS).unwrap().gets, 2, "it goes on counting");
    engine.update_keyspace(sourced(&source).max_bytes(1 << 20).build().unwrap()).await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_under_load_loses_no_request() {
    let source = Counting::default();
    let engine = alone(sourced(&source)).await;
    let (end, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let (engine, end, reads) = (engine.clone(), Arc::clone(&end), Arc::clone(&reads));
            tokio::spawn(async move {
                let mut n = 0_u64;
                while !end.load(SeqCst) {
                    n += 1;
                    let key = format!("{worker}:{}", n % 64);
                    let put = format!("put {n}");
                    engine.put(KS, &key, put.clone()).await.unwrap();
                    let found = engine.get(KS, &key).await.unwrap().expect("put or loaded");
                    // Nobody else writes it: the value, or a later load after the store was replaced.
                    assert!(found == put.as_bytes() || found.starts_with(key.as_bytes()), "{found:?} for {put}");
                    assert!(engine.get(KS, format!("r{}", n % 64)).await.unwrap().is_some());
                    reads.fetch_add(1, SeqCst);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 0..200 {
        let target = reads.load(SeqCst) + 5;
        while reads.load(SeqCst) < target {
            tokio::task::yield_now().await;
        }
        // Every other one has another store.
        let bytes = (8 + n % 2) << 20;
        engine.update_keyspace(sourced(&source).max_bytes(bytes).build().unwrap()).await.unwrap();
    }
    end.store(true, SeqCst);
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_during_an_update_ends_on_the_old_one() {
    let source = Counting::default();
    let engine = without_warm_up(&source).await;
    let reader = engine.clone();
    let waits = tokio::spawn(async move { read(&reader, "gated").await });
    source.begun().await;
    let new = Counting::default();
    engine.update_keyspace(sourced(&new).max_bytes(1 << 20).build().unwrap()).await.unwrap();
    assert_eq!(read(&engine, "a").await.as_deref(), Some("a#1"));
    assert_eq!((source.total(), new.total()), (1, 1));
    source.open();
    assert_eq!(waits.await.unwrap().as_deref(), Some("gated#1"));
}
