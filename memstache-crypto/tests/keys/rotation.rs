//! New versions: spread, used, and ended.

use std::{sync::Arc, time::Duration};

use memstache_core::{ErrorKind, RecordStore, TenantId};
use memstache_crypto::{
    BranchKeyInfo, DataKeys, DerivedKey, FileProvider, KeyFailure, KeyManagement, KeyOwner, KeyProvider as _, KeyState,
    Keyring,
};

use crate::kit::{DAY, HOUR, MINUTE, World, is_ready, opening, sealing, space};

fn acme() -> KeyOwner {
    KeyOwner::tenant(TenantId::new("acme").unwrap())
}

async fn states(node: &Keyring) -> Vec<KeyState> {
    node.status(&acme()).await.unwrap().iter().map(|key| key.state()).collect()
}

#[tokio::test]
async fn a_new_version_is_known_everywhere_before_it_is_used_and_nothing_waits() {
    let world = World::new();
    let space = space("acme", "products");
    let (one, other) = (world.node().await, world.node().await);
    let old = sealing(&one, &space).await.unwrap();
    assert_eq!(sealing(&other, &space).await, Ok(old));

    let new = one.rotate_derived(&acme()).await.unwrap();
    assert_eq!((new.state(), new.number()), (KeyState::PreActive, 2));
    assert_eq!(sealing(&one, &space).await, Ok(old), "not yet");
    world.pass(5 * MINUTE, &[&one, &other]).await;
    assert_eq!(sealing(&other, &space).await, Ok(old), "not yet");
    assert!(is_ready(&other.opening(&space, new.id())), "but known");
    world.pass(5 * MINUTE, &[]).await;
    for node in [&one, &other] {
        assert!(is_ready(&node.sealing(&space)), "the clock alone switches");
        assert_eq!(sealing(node, &space).await, Ok(new.id()));
        assert_eq!(opening(node, &space, old).await, Ok(old), "the old one opens");
    }
    assert_eq!(states(&one).await, [KeyState::DecryptOnly, KeyState::Active]);
}

#[tokio::test]
async fn a_node_that_did_not_hear_of_a_version_looks_it_up() {
    let world = World::new();
    let space = space("acme", "products");
    let (one, other) = (world.node().await, world.node().await);
    sealing(&other, &space).await.unwrap();
    let new = one.rotate_derived(&acme()).await.unwrap().id();
    assert!(!is_ready(&other.opening(&space, new)));
    assert_eq!(opening(&other, &space, new).await, Ok(new));
    assert!(is_ready(&other.opening(&space, new)), "once is enough");
}

#[tokio::test]
async fn old_versions_retire_by_themselves_when_nothing_they_sealed_can_be_alive() {
    let world = World::new();
    let space = space("acme", "products");
    let builder = world.builder().with_max_entry_ttl(2 * HOUR).with_max_stale(Duration::ZERO);
    let node = builder.open().await.unwrap();
    let old = sealing(&node, &space).await.unwrap();
    node.rotate_derived(&acme()).await.unwrap();
    // Two refreshes to spread, the longest lifetime, the longest lag, two skews.
    world.pass(10 * MINUTE + 2 * HOUR + HOUR + 5 * MINUTE, &[&node]).await;
    assert_eq!(opening(&node, &space, old).await, Ok(old));
    world.pass(5 * MINUTE, &[&node]).await;
    assert_eq!(opening(&node, &space, old).await, Err(KeyFailure::Retired));
    assert_eq!(states(&node).await, [KeyState::Retired, KeyState::Active]);

    let without = World::new();
    let node = without.node().await;
    let old = sealing(&node, &space).await.unwrap();
    node.rotate_derived(&acme()).await.unwrap();
    without.pass(3 * DAY, &[&node]).await;
    assert_eq!(opening(&node, &space, old).await, Ok(old), "not without a longest lifetime");
}

#[tokio::test]
async fn keys_rotate_by_age_once_for_all_nodes() {
    let world = World::new();
    let space = space("acme", "products");
    let (one, other) = (
        world.builder().with_derived_rotation(DAY).open().await.unwrap(),
        world.builder().with_derived_rotation(DAY).open().await.unwrap(),
    );
    let old = sealing(&one, &space).await.unwrap();
    sealing(&other, &space).await.unwrap();
    world.pass(DAY - 5 * MINUTE, &[&one, &other]).await;
    assert_eq!(states(&one).await.len(), 1);
    world.pass(20 * MINUTE, &[&one, &other]).await;
    assert_eq!(states(&one).await, [KeyState::DecryptOnly, KeyState::Active]);
    let new = sealing(&one, &space).await.unwrap();
    assert_ne!(new, old);
    assert_eq!(sealing(&other, &space).await, Ok(new));
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_from_then_on_and_another_seals() {
    let world = World::new();
    let space = space("acme", "products");
    let (one, other) = (world.node().await, world.node().await);
    let bad = sealing(&one, &space).await.unwrap();
    sealing(&other, &space).await.unwrap();
    let task = other.run();
    tokio::task::yield_now().await;

    assert!(one.revoke(&acme(), bad).await.unwrap());
    assert!(!one.revoke(&acme(), bad).await.unwrap(), "once");
    assert_eq!(opening(&one, &space, bad).await, Err(KeyFailure::Revoked));
    let next = sealing(&one, &space).await.unwrap();
    assert_ne!(next, bad);
    while opening(&other, &space, bad).await != Err(KeyFailure::Revoked) {
        tokio::task::yield_now().await;
    }
    assert_eq!(sealing(&other, &space).await, Ok(next), "the store told the other node at once");
    drop(task);
    let restarted = world.node().await;
    assert_eq!(opening(&restarted, &space, bad).await, Err(KeyFailure::Revoked), "for ever");
}

#[tokio::test]
async fn a_revoked_key_is_not_followed_by_one_that_was_replaced_before() {
    let world = World::new();
    let space = space("acme", "products");
    let node = world.node().await;
    let first = sealing(&node, &space).await.unwrap();
    let second = node.rotate_derived(&acme()).await.unwrap().id();
    world.pass(10 * MINUTE, &[&node]).await;
    assert!(node.revoke(&acme(), second).await.unwrap());
    let third = sealing(&node, &space).await.unwrap();
    assert!(third != first && third != second);
    assert_eq!(states(&node).await, [KeyState::DecryptOnly, KeyState::Revoked, KeyState::Active]);
    assert_eq!(opening(&node, &space, first).await, Ok(first));
}

#[tokio::test]
async fn only_what_does_not_seal_is_retired_by_hand() {
    let world = World::new();
    let space = space("acme", "products");
    let node = world.node().await;
    let old = sealing(&node, &space).await.unwrap();
    let new = node.rotate_derived(&acme()).await.unwrap().id();
    for (id, message) in [
        (old, "the key is active: rotate it first, or revoke it"),
        (new, "the key is about to become active: revoke it, if it must not"),
    ] {
        let error = node.retire(&acme(), id).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Conflict, message));
    }
    world.pass(10 * MINUTE, &[&node]).await;
    assert!(node.retire(&acme(), old).await.unwrap());
    assert!(!node.retire(&acme(), old).await.unwrap());
    assert_eq!(opening(&node, &space, old).await, Err(KeyFailure::Retired));
}

#[tokio::test]
async fn rotating_the_master_key_wraps_branches_again_and_touches_nothing_else() {
    let world = World::new();
    let space = space("acme", "products");
    let (one, other) = (world.node().await, world.node().await);
    let id = sealing(&one, &space).await.unwrap();
    sealing(&other, &space).await.unwrap();
    let before = world.vault.calls();

    let old = one.get_master_key(None).await.unwrap();
    assert_eq!((old.provider(), old.version(), old.is_current()), ("house", "1", true));
    let new = one.rotate_master_key(Some("1")).await.unwrap();
    assert_eq!(new.version(), "2");
    // Which is current (asked twice), make one, wrap one branch and see that it unwraps.
    assert_eq!(world.vault.calls() - before, 5);
    assert_eq!(one.rotate_master_key(Some("1")).await.unwrap_err().kind(), ErrorKind::Conflict);
    let gone = one.get_master_key(Some("1")).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "nothing needs it");

    world.pass(10 * MINUTE, &[&one, &other]).await;
    for node in [&one, &other, &world.node().await] {
        assert_eq!(sealing(node, &space).await, Ok(id));
        assert_eq!(opening(node, &space, id).await, Ok(id));
    }
}

#[tokio::test]
async fn rotating_the_branch_moves_every_line_and_the_old_one_can_go() {
    let world = World::new();
    let (acme_space, globex) = (space("acme", "products"), space("globex", "products"));
    let (one, other) = (world.node().await, world.node().await);
    let ids = (sealing(&one, &acme_space).await.unwrap(), sealing(&other, &globex).await.unwrap());
    let old = one.branch_status().await.unwrap()[0].id();

    let new = one.rotate_branch().await.unwrap();
    assert_eq!(new.state(), KeyState::PreActive);
    assert_eq!(one.rewrap().await.unwrap(), 0, "nothing moves before every node has it");
    world.pass(10 * MINUTE, &[&one, &other]).await;
    assert_eq!(one.retire_branch(new.id()).await.unwrap_err().kind(), ErrorKind::Conflict, "it is active");
    one.rewrap().await.unwrap();
    assert!(one.retire_branch(old).await.unwrap());
    assert!(!one.retire_branch(old).await.unwrap());
    world.pass(5 * MINUTE, &[&one, &other]).await;
    for node in [&one, &other, &world.node().await] {
        assert_eq!(opening(node, &acme_space, ids.0).await, Ok(ids.0));
        assert_eq!(opening(node, &globex, ids.1).await, Ok(ids.1));
    }
}

#[tokio::test]
async fn a_branch_that_wraps_a_tenants_key_stays() {
    let world = World::new();
    let (one, other) = (world.node().await, world.node().await);
    sealing(&other, &space("globex", "products")).await.unwrap();
    let old = one.branch_status().await.unwrap()[0].id();
    one.rotate_branch().await.unwrap();
    world.pass(10 * MINUTE, &[&one]).await;
    let error = one.retire_branch(old).await.unwrap_err();
    assert_eq!(error.to_string(), "the branch key wraps keys of tenants: rewrap first");
    assert_eq!(one.rewrap().await.unwrap(), 1);
    assert!(one.retire_branch(old).await.unwrap());
}

#[tokio::test]
async fn the_five_operations() {
    let world = World::new();
    let node = world.node().await;
    assert_eq!(node.generate_master_key().await.unwrap_err().kind(), ErrorKind::Conflict);
    for result in [node.get_derived_key(&acme(), None).await, node.rotate_derived(&acme()).await] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound);
    }
    let wrong = node.generate_derived_key(&acme(), Some("7")).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::NotFound, "no branch key is under that master key");
    let made = node.generate_derived_key(&acme(), Some("1")).await.unwrap();
    assert_eq!((made.number(), made.state(), made.owner()), (1, KeyState::Active, &acme()));
    assert_eq!(node.generate_derived_key(&acme(), None).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(node.get_derived_key(&acme(), None).await.unwrap(), made);
    assert_eq!(node.get_derived_key(&acme(), Some(made.id())).await.unwrap(), made);
    assert_eq!(sealing(&node, &space("acme", "products")).await, Ok(made.id()));
}

#[tokio::test]
async fn names_rotate_apart_from_values() {
    let world = World::new();
    let space = space("acme", "products");
    let node = world.builder().with_blind_names().open().await.unwrap();
    node.prepare(&space).await.unwrap();
    let (data, old) = (sealing(&node, &space).await.unwrap(), node.naming(&space).unwrap().id());
    node.rotate_derived(&acme()).await.unwrap();
    world.pass(10 * MINUTE, &[&node]).await;
    assert_ne!(sealing(&node, &space).await, Ok(data));
    assert_eq!(node.naming(&space).unwrap().id(), old, "names stay");
    let new = node.rotate_names(Some(&TenantId::new("acme").unwrap())).await.unwrap();
    world.pass(10 * MINUTE, &[&node]).await;
    assert_eq!(node.naming(&space).unwrap().id(), new);
}

#[tokio::test]
async fn a_master_key_that_the_vault_rotated_is_taken_into_use() {
    let world = World::new();
    let space = space("acme", "products");
    let node = world.node().await;
    let id = sealing(&node, &space).await.unwrap();
    world.vault.rotate().await.unwrap();
    assert!(node.get_master_key(Some("1")).await.is_ok(), "still in use");
    world.pass(HOUR, &[&node]).await;
    assert_eq!(node.get_master_key(Some("1")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(opening(&world.node().await, &space, id).await, Ok(id));
}

#[tokio::test]
async fn the_master_key_rotates_by_age_once_for_all_nodes() {
    let path = std::env::temp_dir().join(format!("memstache-keys-master-age-{}", std::process::id()));
    std::fs::create_dir(&path).unwrap();
    let world = World::new();
    let provider = FileProvider::with_clock(path.join("master"), Arc::new(world.clock.clone()));
    provider.rotate().await.unwrap();
    let builder = || {
        let records = Arc::clone(&world.records) as Arc<dyn RecordStore>;
        let builder = Keyring::builder("test", records, Arc::new(provider.clone()));
        builder.with_clock(Arc::new(world.clock.clone())).with_master_rotation(DAY)
    };
    let (one, other) = (builder().open().await.unwrap(), builder().open().await.unwrap());
    let space = space("acme", "products");
    let id = sealing(&one, &space).await.unwrap();
    world.pass(DAY - HOUR, &[&one, &other]).await;
    assert_eq!(one.get_master_key(None).await.unwrap().version(), "1");
    world.pass(2 * HOUR, &[&one, &other]).await;
    assert_eq!(one.get_master_key(None).await.unwrap().version(), "2");
    assert_eq!(one.get_master_key(Some("1")).await.unwrap_err().kind(), ErrorKind::NotFound, "nothing needs it");
    let restarted = builder().open().await.unwrap();
    assert_eq!(opening(&restarted, &space, id).await, Ok(id));
    std::fs::remove_dir_all(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_change_the_same_keys_at_once_lose_nothing() {
    let world = World::new();
    let space = space("acme", "products");
    let first = sealing(&world.node().await, &space).await.unwrap();
    let mut nodes = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let node = world.node().await;
        nodes.spawn(async move {
            let derived = node.rotate_derived(&acme()).await.unwrap().id();
            let branch = node.rotate_branch().await.unwrap().id();
            node.rotate_master_key(None).await.unwrap();
            (derived, branch)
        });
    }
    let made = nodes.join_all().await;
    let node = world.node().await;
    let keys: Vec<_> = node.status(&acme()).await.unwrap().iter().map(DerivedKey::id).collect();
    let branches: Vec<_> = node.branch_status().await.unwrap().iter().map(BranchKeyInfo::id).collect();
    assert_eq!((keys.len(), branches.len()), (5, 5));
    assert!(made.iter().all(|(derived, branch)| keys.contains(derived) && branches.contains(branch)));
    world.pass(10 * MINUTE, &[&node]).await;
    node.rewrap().await.unwrap();
    for id in keys {
        assert_eq!(opening(&world.node().await, &space, id).await, Ok(id));
    }
    assert_eq!(opening(&node, &space, first).await, Ok(first));
}

#[tokio::test]
async fn a_line_that_is_full_goes_on_with_its_last_version_and_rotates_again_once_there_is_room() {
    let world = World::new();
    let space = space("acme", "products");
    let node = world.builder().with_derived_rotation(HOUR).open().await.unwrap();
    let first = sealing(&node, &space).await.unwrap();
    for _ in 0..80 {
        world.pass(HOUR, &[&node]).await;
        assert!(is_ready(&node.sealing(&space)));
    }
    assert_eq!(states(&node).await.len(), 64);
    let error = node.rotate_derived(&acme()).await.unwrap_err();
    assert_eq!(error.to_string(), "a key has at most 64 versions: retire the oldest first");
    assert_eq!(opening(&node, &space, first).await, Ok(first));
    let last = sealing(&node, &space).await.unwrap();
    assert!(node.retire(&acme(), first).await.unwrap());
    world.pass(15 * MINUTE, &[&node]).await;
    assert_ne!(sealing(&node, &space).await.unwrap(), last);
    assert_eq!(states(&node).await.len(), 64);
    assert_eq!(opening(&node, &space, first).await, Err(KeyFailure::Unknown), "forgotten");
}
