//! Somebody who can write to the record store.

use std::sync::Arc;

use bytes::Bytes;
use memstache_core::{ErrorKind, Expected, RecordKey, RecordStore, TenantId};
use memstache_crypto::{KeyFailure, KeyManagement, KeyOwner};

use crate::kit::{MINUTE, World, opening, sealing, space};

fn acme() -> KeyOwner {
    KeyOwner::tenant(TenantId::new("acme").unwrap())
}

async fn value(world: &World, key: &RecordKey) -> Bytes {
    world.records.get(key).await.unwrap().unwrap().value
}

async fn overwrite(world: &World, key: &RecordKey, value: Bytes) {
    world.records.put(key, value, Expected::Any).await.unwrap();
}

/// The records of acme's and the branch's keys.
async fn places(world: &World) -> (RecordKey, RecordKey) {
    let keys = world.keys().await;
    let branch = keys.iter().find(|key| key.as_str().ends_with("/branch")).unwrap().clone();
    (keys.into_iter().find(|key| key.as_str().ends_with("/data/default")).unwrap(), branch)
}

#[tokio::test]
async fn no_flipped_bit_and_no_truncation_of_a_record_is_accepted() {
    let world = World::new();
    let space = space("acme", "products");
    let id = sealing(&world.node().await, &space).await.unwrap();
    let (line, _) = places(&world).await;
    let good = value(&world, &line).await;
    let node = world.node().await;
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.to_vec();
            bad[at] ^= 1 << bit;
            overwrite(&world, &line, bad.into()).await;
            let found = opening(&node, &space, id).await;
            assert!(matches!(found, Err(KeyFailure::Unavailable { .. })), "byte {at} bit {bit}: {found:?}");
        }
        overwrite(&world, &line, good.slice(..at)).await;
        assert!(opening(&node, &space, id).await.is_err(), "cut at {at}");
    }
    overwrite(&world, &line, [&good[..], b"x"].concat().into()).await;
    assert!(opening(&node, &space, id).await.is_err());
    let error = node.status(&acme()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    overwrite(&world, &line, good).await;
    assert_eq!(opening(&node, &space, id).await, Ok(id));
    assert!(node.stats().refused_records > 0);
}

#[tokio::test]
async fn no_flipped_bit_of_the_branch_record_is_accepted() {
    let world = World::new();
    drop(world.node().await);
    let (_, branch) = {
        sealing(&world.node().await, &space("acme", "products")).await.unwrap();
        places(&world).await
    };
    let good = value(&world, &branch).await;
    let warm = world.node().await;
    for at in 0..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        overwrite(&world, &branch, bad.into()).await;
        assert!(world.builder().open().await.is_err(), "byte {at}");
        assert!(warm.refresh().await.is_err(), "byte {at}");
    }
    overwrite(&world, &branch, good).await;
    world.clock.advance(MINUTE);
    warm.refresh().await.unwrap();
}

#[tokio::test]
async fn a_record_of_another_tenant_is_refused() {
    let world = World::new();
    let node = world.node().await;
    let (acme_space, globex) = (space("acme", "products"), space("globex", "products"));
    let stolen = sealing(&node, &globex).await.unwrap();
    let globex_place = places(&world).await.0;
    let copy = value(&world, &globex_place).await;
    sealing(&node, &acme_space).await.unwrap();
    let keys = world.keys().await;
    let acme_place = keys.iter().find(|key| key.as_str().ends_with("/data/default") && **key != globex_place).unwrap();
    overwrite(&world, acme_place, copy).await;
    let fresh = world.node().await;
    assert!(matches!(opening(&fresh, &acme_space, stolen).await, Err(KeyFailure::Unavailable { .. })));
    assert!(matches!(opening(&node, &acme_space, stolen).await, Err(KeyFailure::Unavailable { .. })));
    assert_eq!(
        fresh.status(&acme()).await.unwrap_err().to_string(),
        "the key record is damaged: it belongs to another place"
    );
}

#[tokio::test]
async fn an_old_record_put_back_is_refused_by_who_knew_better() {
    let world = World::new();
    let node = world.node().await;
    let space = space("acme", "products");
    let bad = sealing(&node, &space).await.unwrap();
    let (line, _) = places(&world).await;
    let old = value(&world, &line).await;
    node.revoke(&acme(), bad).await.unwrap();
    overwrite(&world, &line, old).await;
    node.refresh().await.unwrap_err();
    assert_eq!(opening(&node, &space, bad).await, Err(KeyFailure::Revoked), "what is at hand stays");
    let error = node.status(&acme()).await.unwrap_err();
    assert_eq!(error.to_string(), "the key record is damaged: it is older than what was there before");
}

#[tokio::test]
async fn an_old_branch_record_put_back_is_refused_by_who_knew_better() {
    let world = World::new();
    let node = world.node().await;
    sealing(&node, &space("acme", "products")).await.unwrap();
    let (_, branch) = places(&world).await;
    let old = value(&world, &branch).await;
    node.rotate_branch().await.unwrap();
    overwrite(&world, &branch, old).await;
    let error = node.refresh().await.unwrap_err();
    assert_eq!(error.to_string(), "the key record is damaged: it is older than what was there before");
}

#[tokio::test]
async fn a_branch_that_somebody_else_made_is_refused_by_who_runs_and_by_who_pinned() {
    // Another environment of the same name under the same vault: all that somebody with its public key could make.
    let (world, attacker) = (World::new(), World::new());
    let node = world.node().await;
    sealing(&node, &space("acme", "products")).await.unwrap();
    let pin = node.branch_status().await.unwrap()[0].id();
    let (_, branch) = places(&world).await;
    let forged = {
        let other = attacker.node().await;
        other.rotate_branch().await.unwrap();
        value(&attacker, &branch).await
    };
    let pinned = |world: &World| world.builder().with_pinned_branch(pin);
    pinned(&world).open().await.unwrap();
    overwrite(&world, &branch, forged).await;
    let error = node.refresh().await.unwrap_err();
    assert_eq!(error.to_string(), "the key record is damaged: no key that was known before vouches for it");
    let error = pinned(&world).open().await.unwrap_err();
    assert_eq!(error.to_string(), "the key record is damaged: the pinned branch key is not in it");
}

#[tokio::test]
async fn a_record_that_went_away_takes_its_keys_along() {
    let world = World::new();
    let node = world.node().await;
    let space = space("acme", "products");
    let id = sealing(&node, &space).await.unwrap();
    let (line, _) = places(&world).await;
    let old = value(&world, &line).await;
    world.records.remove(&line, Expected::Any).await.unwrap();
    node.refresh().await.unwrap();
    assert_eq!(opening(&node, &space, id).await, Err(KeyFailure::Unknown));
    let new = sealing(&node, &space).await.unwrap();
    assert_ne!(new, id, "a new beginning");
    overwrite(&world, &line, old).await;
    node.refresh().await.unwrap_err();
    assert_eq!(sealing(&node, &space).await, Ok(new), "the old one does not come back");
}

#[tokio::test]
async fn another_providers_branch_is_refused() {
    let world = World::new();
    drop(world.node().await);
    let other = memstache_crypto::EnvironmentProvider::from_text("1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
    let records = Arc::clone(&world.records) as Arc<dyn RecordStore>;
    let opened = memstache_crypto::Keyring::builder("test", records, Arc::new(other.unwrap())).open().await;
    assert_eq!(opened.unwrap_err().to_string(), "the branch key was wrapped by another key provider");
}
