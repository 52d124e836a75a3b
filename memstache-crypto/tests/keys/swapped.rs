//! A good record in the place of another: the key that vouches for it may be the right one, its place is not.

use std::sync::Arc;

use bytes::Bytes;
use memstache_core::{Expected, RecordKey, RecordStore, Space};
use memstache_crypto::{KeyClass, Keyring, KeyringBuilder};

use crate::kit::{World, sealing, space};

const REFUSED: &str = "the key record is damaged: it belongs to another place";

/// An environment whose tenant has keys for two classes of data, and one for names.
fn builder(world: &World, environment: &str) -> KeyringBuilder {
    let records = Arc::clone(&world.records) as Arc<dyn RecordStore>;
    Keyring::builder(environment, records, Arc::new(world.vault.clone()))
        .with_clock(Arc::new(world.clock.clone()))
        .with_class("cards".try_into().unwrap(), KeyClass::new("payments").unwrap())
        .with_blind_names()
}

async fn open(world: &World, environment: &str) -> Keyring {
    builder(world, environment).open().await.unwrap()
}

fn spaces() -> [Space; 2] {
    [space("acme", "products"), space("acme", "cards")]
}

/// Makes all keys.
async fn begin(world: &World, environment: &str) -> Keyring {
    let node = open(world, environment).await;
    for space in &spaces() {
        node.prepare(space).await.unwrap();
    }
    node
}

async fn place(world: &World, environment: &str, end: &str) -> RecordKey {
    let begin = format!("mst1/{environment}/");
    let keys = world.keys().await.into_iter();
    let mut found = keys.filter(|key| key.as_str().starts_with(&begin) && key.as_str().ends_with(end));
    let key = found.next().unwrap();
    assert_eq!(found.next(), None);
    key
}

async fn value(world: &World, key: &RecordKey) -> Bytes {
    world.records.get(key).await.unwrap().unwrap().value
}

async fn overwrite(world: &World, key: &RecordKey, value: Bytes) {
    world.records.put(key, value, Expected::Any).await.unwrap();
}

/// Asserts that a copy of one record is refused in the place of another, by who is asked for the keys of a space, and that
/// this is not for another reason: what was there before is taken.
async fn refuses(world: &World, from: &RecordKey, to: &RecordKey, space: &Space) {
    assert_ne!(from, to);
    let (copy, good) = (value(world, from).await, value(world, to).await);
    overwrite(world, to, copy).await;
    let fresh = open(world, "test").await;
    let error = fresh.prepare(space).await.unwrap_err();
    assert_eq!(error.to_string(), REFUSED, "{from:?} at {to:?}");
    assert!(fresh.stats().refused_records > 0);
    overwrite(world, to, good).await;
    open(world, "test").await.prepare(space).await.unwrap();
}

#[tokio::test]
async fn a_record_of_another_class_is_refused_and_one_of_names_is_none_of_data() {
    let world = World::new();
    begin(&world, "test").await;
    let places = [place(&world, "test", "/data/default").await, place(&world, "test", "/data/payments").await];
    let names = place(&world, "test", "/name").await;
    let [products, cards] = spaces();
    refuses(&world, &places[1], &places[0], &products).await;
    refuses(&world, &places[0], &places[1], &cards).await;
    refuses(&world, &names, &places[0], &products).await;
    refuses(&world, &names, &places[1], &cards).await;
    refuses(&world, &places[0], &names, &products).await;
}

#[tokio::test]
async fn who_runs_refuses_a_record_of_another_class_too() {
    let world = World::new();
    let node = begin(&world, "test").await;
    let [products, cards] = spaces();
    let (own, other) = (sealing(&node, &products).await.unwrap(), sealing(&node, &cards).await.unwrap());
    let at = place(&world, "test", "/data/default").await;
    overwrite(&world, &at, value(&world, &place(&world, "test", "/data/payments").await).await).await;
    node.refresh().await.unwrap_err();
    assert_eq!(sealing(&node, &products).await, Ok(own), "what is at hand stays");
    assert!(crate::kit::opening(&node, &products, other).await.is_err(), "and gets no key of the other class");
}

#[tokio::test]
async fn a_record_of_another_environment_is_refused() {
    let world = World::new();
    begin(&world, "test").await;
    begin(&world, "other").await;
    let [products, cards] = spaces();
    for (end, space) in [("/data/default", &products), ("/data/payments", &cards), ("/name", &products)] {
        refuses(&world, &place(&world, "other", end).await, &place(&world, "test", end).await, space).await;
    }
}

#[tokio::test]
async fn an_environment_whose_records_are_all_put_in_the_place_of_another_is_refused() {
    let world = World::new();
    let node = begin(&world, "test").await;
    begin(&world, "other").await;
    for end in ["/branch", "/data/default", "/data/payments", "/name"] {
        let copy = value(&world, &place(&world, "other", end).await).await;
        overwrite(&world, &place(&world, "test", end).await, copy).await;
    }
    // One vault has wrapped the branch keys of both: it would unwrap this one.
    assert_eq!(builder(&world, "test").open().await.unwrap_err().to_string(), REFUSED);
    assert_eq!(node.refresh().await.unwrap_err().to_string(), REFUSED);
}
