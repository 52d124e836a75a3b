//! Batches whose calls or answers do not fit one frame.

use memstache_core::{ErrorKind, SystemClock};

use super::{
    hub::Nodes,
    kit::{Counting, KS, sourced},
};
use crate::{KeySpace, KeySpaceBuilder};

/// A frame here; values of a few hundred bytes are then what some megabytes are in a frame of 16 MiB.
const FRAME: usize = 16 << 10;

fn plain(_: &Counting) -> KeySpaceBuilder {
    KeySpace::builder(KS)
}

async fn three(keyspace: impl Fn(&Counting) -> KeySpaceBuilder) -> Nodes {
    let nodes = Nodes::apart(3, SystemClock::new(), keyspace, |builder| builder).await;
    nodes.all_see(0..3).await;
    nodes.hub.frames(FRAME);
    nodes
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("k{n}")).collect()
}

fn value(key: &str) -> String {
    key.repeat(500 / key.len())
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fits_no_frame_is_written_read_and_deleted_key_by_key() {
    let nodes = three(plain).await;
    let keys = keys(600);
    let written = nodes.engines[0].put_many(KS, keys.iter().map(|key| (key, value(key)))).await.unwrap();
    assert_eq!(written.iter().filter(|written| written.is_ok()).count(), 600);
    for engine in &nodes.engines {
        let found = engine.get_many(KS, &keys).await.unwrap();
        for (key, found) in keys.iter().zip(found) {
            assert_eq!(found.unwrap().unwrap(), value(key), "{key}");
        }
    }
    let deleted = nodes.engines[1].delete_many(KS, &keys).await.unwrap();
    assert!(deleted.iter().all(Result::is_ok));
    for engine in &nodes.engines {
        assert!(engine.get_many(KS, &keys).await.unwrap().into_iter().all(|found| found.unwrap().is_none()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_loaded_for_a_batch_is_loaded_and_counted_once() {
    let nodes = three(sourced).await;
    let keys: Vec<String> = keys(200).iter().map(|key| value(key)).collect();
    for (node, engine) in nodes.engines.iter().enumerate() {
        let found = engine.get_many(KS, &keys).await.unwrap();
        for (key, found) in keys.iter().zip(found) {
            assert_eq!(found.unwrap().unwrap(), format!("{key}#1"));
        }
        let stats = engine.stats(KS).unwrap();
        let of_others = keys.iter().filter(|key| nodes.owner(key) != node).count() as u64;
        assert_eq!((stats.peer_loads, stats.peer_errors, stats.fallback_loads), (of_others, 0, 0), "{stats:?}");
    }
    assert_eq!(nodes.loads(), 200);
}

#[tokio::test(start_paused = true)]
async fn one_value_that_fits_no_frame_fails_alone() {
    let nodes = three(plain).await;
    let [small, large, other] = ["s", "l", "o"].map(|name| nodes.key_of(1, name));
    nodes.engines[1].put(KS, &small, "small").await.unwrap();
    nodes.engines[1].put(KS, &large, "x".repeat(FRAME)).await.unwrap();
    nodes.engines[1].put(KS, &other, "y".repeat(FRAME / 2)).await.unwrap();
    let found = nodes.engines[0].get_many(KS, [&large, &small, &other]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(!found[0].as_ref().unwrap_err().is_retryable());
    assert_eq!(found[1].as_ref().unwrap().as_ref().unwrap(), "small");
    assert_eq!(found[2].as_ref().unwrap().as_ref().unwrap().len(), FRAME / 2);
    let put = nodes.engines[0].put_many(KS, [(&large, "x".repeat(FRAME)), (&small, "new".into())]).await.unwrap();
    assert_eq!(put[0].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(!put[0].as_ref().unwrap_err().may_have_effect());
    assert!(put[1].is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_new_owner_is_handed_over_what_fits_no_frame_in_pieces() {
    let nodes = Nodes::apart(3, SystemClock::new(), plain, |builder| builder).await;
    nodes.all_see(0..2).await;
    nodes.hub.frames(FRAME);
    let keys = keys(300);
    nodes.engines[0].put_many(KS, keys.iter().map(|key| (key, value(key)))).await.unwrap();
    nodes.all_see(0..3).await;
    let found = nodes.engines[2].get_many(KS, &keys).await.unwrap();
    for (key, found) in keys.iter().zip(found) {
        assert_eq!(found.unwrap().unwrap_or_default(), value(key), "{key}");
    }
}
