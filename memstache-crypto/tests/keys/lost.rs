//! Records that are gone: all of them, the branch's alone, or the branch that a line was written under.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use memstache_core::{
    ErrorKind, Expected, Record, RecordKey, RecordPrefix, RecordStore, Space, TenantId, TenantKeys,
    testing::ManualClock,
};
use memstache_crypto::{DataKeys, KeyFailure, KeyId, KeyManagement, KeyOwner, Keyring, Shredder};

use crate::{
    kit::{DAY, HOUR, MINUTE, World, is_ready, opening, sealing, space},
    races::{Late, node_over},
};

async fn empty(world: &World) -> Vec<(RecordKey, Record)> {
    let all = world.records.list(&RecordPrefix::ALL).await.unwrap();
    for (key, _) in &all {
        world.records.remove(key, Expected::Any).await.unwrap();
    }
    all
}

async fn put_back(world: &World, all: Vec<(RecordKey, Record)>) {
    for (key, record) in all {
        world.records.put(&key, record.value, Expected::Any).await.unwrap();
    }
}

async fn branch_place(world: &World) -> RecordKey {
    world.keys().await.into_iter().find(|key| key.as_str().ends_with("/branch")).unwrap()
}

#[tokio::test]
async fn an_emptied_record_store_takes_no_key_away_for_a_day_and_gets_no_new_one() {
    let world = World::new();
    let node = world.node().await;
    let (known, unknown) = (space("acme", "products"), space("globex", "products"));
    let id = sealing(&node, &known).await.unwrap();
    let lost = empty(&world).await;
    for _ in 0..12 * 23 {
        world.clock.advance(5 * MINUTE);
        node.refresh().await.unwrap_err();
    }
    assert!(is_ready(&node.sealing(&known)) && is_ready(&node.opening(&known, id)));
    let failed = sealing(&node, &unknown).await;
    assert!(matches!(failed, Err(KeyFailure::Unavailable { .. })), "{failed:?}");
    assert_eq!(world.keys().await, [], "nothing is written under a branch key that no other node can have");

    put_back(&world, lost).await;
    node.refresh().await.unwrap();
    assert_eq!(sealing(&node, &known).await, Ok(id), "as if nothing had been");
    sealing(&node, &unknown).await.unwrap();
    assert_eq!(opening(&world.node().await, &known, id).await, Ok(id));
}

#[tokio::test]
async fn without_a_backup_every_node_starts_anew_and_none_is_stuck() {
    let world = World::new();
    let old = world.node().await;
    let space = space("acme", "products");
    let id = sealing(&old, &space).await.unwrap();
    empty(&world).await;
    let fresh = world.node().await;
    let new = sealing(&fresh, &space).await.unwrap();
    assert_ne!(new, id);
    // Who ran before refuses what its own keys do not vouch for, and does no harm to it.
    old.refresh().await.unwrap_err();
    assert_eq!(sealing(&old, &space).await, Ok(id));
    assert_eq!(sealing(&world.node().await, &space).await, Ok(new));
    world.pass(DAY + 2 * HOUR, &[&fresh]).await;
    assert!(sealing(&old, &space).await.is_err());
    old.refresh().await.unwrap();
    assert_eq!(sealing(&old, &space).await, Ok(new), "without keys, it is as one that starts");
}

#[tokio::test]
async fn a_lost_branch_record_is_not_followed_by_another_while_tenants_have_keys() {
    let world = World::new();
    let space = space("acme", "products");
    let id = sealing(&world.node().await, &space).await.unwrap();
    let place = branch_place(&world).await;
    let lost = world.records.get(&place).await.unwrap().unwrap();
    world.records.remove(&place, Expected::Any).await.unwrap();

    let error = world.builder().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(
        error.to_string(),
        "the branch record is gone, but keys of tenants are there: restore it, or remove them"
    );
    assert_eq!(world.records.get(&place).await.unwrap(), None, "and none was made");
    put_back(&world, vec![(place, lost)]).await;
    assert_eq!(opening(&world.node().await, &space, id).await, Ok(id));
}

/// Makes a tenant's first key on one node, while another retires the branch key that it is made under.
async fn made_under_a_branch_that_goes(
    records: &Late,
    late: &Keyring,
    other: &Keyring,
    branch: KeyId,
    space: &Space,
) -> KeyId {
    let release = records.hold("/branch");
    let made = {
        let (late, space) = (late.clone(), space.clone());
        tokio::spawn(async move { sealing(&late, &space).await })
    };
    records.all_held().await;
    assert!(other.retire_branch(branch).await.unwrap());
    release.send(()).unwrap();
    made.await.unwrap().unwrap()
}

#[tokio::test]
async fn a_tenants_first_key_is_not_made_under_a_branch_that_is_gone() {
    let world = World::new();
    let (one, late) = (world.node().await, world.node().await);
    let globex = space("globex", "products");
    let old = one.branch_status().await.unwrap()[0].id();
    one.rotate_branch().await.unwrap();
    world.pass(10 * MINUTE, &[&one]).await;
    assert!(one.retire_branch(old).await.unwrap());
    let made = sealing(&late, &globex).await;
    assert!(matches!(made, Err(KeyFailure::Unavailable { .. })), "it heard of nothing: {made:?}");
    assert_eq!(world.keys().await.len(), 1, "the branch alone");
}

/// Both nodes know both branch keys, but the clock of one is behind.
#[tokio::test]
async fn a_line_does_not_move_back_to_an_older_branch() {
    let world = World::new();
    let behind = ManualClock::new();
    let (one, late) = (world.node().await, world.builder().with_clock(Arc::new(behind.clone())).open().await.unwrap());
    let acme = space("acme", "products");
    let id = sealing(&one, &acme).await.unwrap();
    assert_eq!(opening(&late, &acme, id).await, Ok(id));
    let old = one.branch_status().await.unwrap()[0].id();
    one.rotate_branch().await.unwrap();
    world.clock.advance(10 * MINUTE);
    assert_eq!(one.rewrap().await.unwrap(), 1);
    behind.advance(5 * MINUTE);
    late.refresh().await.unwrap();
    assert_eq!(late.rewrap().await.unwrap(), 0);
    assert!(one.retire_branch(old).await.unwrap(), "nothing is under it");
}

#[tokio::test]
async fn a_line_under_a_branch_that_was_retired_meanwhile_is_begun_anew() {
    let world = World::new();
    let late_records = Late::over(&world);
    let (one, late) = (world.node().await, node_over(&world, &late_records).await);
    let (acme, globex) = (space("acme", "products"), space("globex", "products"));
    sealing(&one, &acme).await.unwrap();
    let old = one.branch_status().await.unwrap()[0].id();
    one.rotate_branch().await.unwrap();
    world.pass(10 * MINUTE, &[&one]).await;
    one.rewrap().await.unwrap();
    // A node that heard of nothing makes a tenant's first key, under the branch key that goes at the same moment.
    let orphan = made_under_a_branch_that_goes(&late_records, &late, &one, old, &globex).await;

    one.refresh().await.unwrap();
    let next = sealing(&one, &globex).await.unwrap();
    assert_ne!(next, orphan);
    assert_eq!(opening(&one, &globex, orphan).await, Err(KeyFailure::Unknown));
    assert_eq!(sealing(&world.node().await, &globex).await, Ok(next));
    // Nothing that it knew vouches for the branch key that it missed.
    late.refresh().await.unwrap_err();
    assert_eq!(sealing(&late, &globex).await, Ok(orphan), "for a day");
    world.pass(DAY + 2 * HOUR, &[&one]).await;
    late.refresh().await.unwrap();
    assert_eq!(sealing(&late, &globex).await, Ok(next), "without a restart");
}

#[tokio::test]
async fn a_tenant_whose_line_nobody_can_open_any_more_can_be_shredded() {
    let world = World::new();
    let late_records = Late::over(&world);
    let (one, late) = (world.node().await, node_over(&world, &late_records).await);
    let old = one.branch_status().await.unwrap()[0].id();
    one.rotate_branch().await.unwrap();
    world.pass(10 * MINUTE, &[&one]).await;
    made_under_a_branch_that_goes(&late_records, &late, &one, old, &space("globex", "products")).await;

    let globex = TenantId::new("globex").unwrap();
    let receipt = Shredder::new(one.clone()).with_wait(Duration::ZERO).shred(&globex).await.unwrap();
    assert_eq!((receipt.records, receipt.keys.len()), (1, 0));
    assert_eq!(one.status(&KeyOwner::tenant(globex)).await.unwrap(), []);
}

#[tokio::test]
async fn a_damaged_record_does_not_keep_the_others_under_the_old_branch() {
    let world = World::new();
    let node = world.node().await;
    for tenant in 0..8 {
        sealing(&node, &space(&format!("tenant-{tenant}"), "products")).await.unwrap();
    }
    let lines: Vec<_> = world.keys().await.into_iter().filter(|key| !key.as_str().ends_with("/branch")).collect();
    world.records.put(&lines[3], Bytes::from_static(b"damaged"), Expected::Any).await.unwrap();
    node.rotate_branch().await.unwrap();
    world.clock.advance(10 * MINUTE);
    // Another node, so that nothing is at hand and every line is moved by this alone.
    let other = world.node().await;
    assert_eq!(other.rewrap().await.unwrap_err().kind(), ErrorKind::Rejected);
    world.records.remove(&lines[3], Expected::Any).await.unwrap();
    assert_eq!(other.rewrap().await.unwrap(), 0, "the seven others had moved");
}
