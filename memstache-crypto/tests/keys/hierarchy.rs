//! From nothing to keys that all nodes share.

use std::sync::Arc;

use futures_util::FutureExt as _;

use memstache_core::RecordStore;
use memstache_crypto::{DataKeys, KeyClass, KeyFailure, KeyId};

use crate::{
    kit::{World, is_ready, opening, sealing, space},
    outage::Flaky,
};

#[tokio::test]
async fn the_first_write_makes_a_key_that_every_node_and_every_restart_reads() {
    let world = World::new();
    let space = space("acme", "products");
    let first = world.node().await;
    let id = sealing(&first, &space).await.unwrap();
    assert!(is_ready(&first.sealing(&space)), "from now on it is at hand");
    assert!(is_ready(&first.opening(&space, id)));

    let second = world.node().await;
    assert_eq!(opening(&second, &space, id).await, Ok(id));
    assert_eq!(sealing(&second, &space).await, Ok(id), "nodes share it");
    drop((first, second));
    let restarted = world.node().await;
    assert_eq!(opening(&restarted, &space, id).await, Ok(id));
}

#[tokio::test]
async fn keys_differ_by_tenant_and_class_and_open_nothing_of_others() {
    let world = World::new();
    let class = KeyClass::new("payments").unwrap();
    let node = world.builder().with_class("cards".try_into().unwrap(), class).open().await.unwrap();
    let spaces =
        [space("acme", "products"), space("acme", "cards"), space("globex", "products"), space("", "products")];
    let mut ids = Vec::new();
    for space in &spaces {
        ids.push(sealing(&node, space).await.unwrap());
    }
    for (at, space) in spaces.iter().enumerate() {
        for (other, id) in ids.iter().enumerate() {
            let expected = if at == other { Ok(*id) } else { Err(KeyFailure::Unknown) };
            assert_eq!(opening(&node, space, *id).await, expected, "{at} {other}");
        }
    }
    assert_eq!(sealing(&node, &space("acme", "more")).await, Ok(ids[0]), "a class is shared by its keyspaces");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_make_the_first_key_at_once_end_up_with_one() {
    for _ in 0..8 {
        let world = World::new();
        let mut nodes = tokio::task::JoinSet::new();
        let barrier = Arc::new(tokio::sync::Barrier::new(8));
        for _ in 0..8 {
            let (builder, barrier) = (world.builder(), Arc::clone(&barrier));
            nodes.spawn(async move {
                barrier.wait().await;
                let node = builder.open().await.unwrap();
                barrier.wait().await;
                sealing(&node, &space("acme", "products")).await.unwrap()
            });
        }
        let ids = nodes.join_all().await;
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(world.keys().await.len(), 2, "a branch and a line");
    }
}

#[tokio::test]
async fn a_node_calls_the_vault_once_for_its_branch_and_never_for_a_tenant() {
    let world = World::new();
    let first = world.node().await;
    assert_eq!(world.vault.calls(), 3, "which master key, wrap, and see that it unwraps");
    let second = world.node().await;
    assert_eq!(world.vault.calls(), 4, "unwrap");
    for tenant in 0..50 {
        let space = space(&format!("tenant-{tenant}"), "products");
        let id = sealing(&first, &space).await.unwrap();
        opening(&second, &space, id).await.unwrap();
        opening(&second, &space, KeyId::from_bytes([9; 16])).await.unwrap_err();
    }
    assert_eq!(world.vault.calls(), 4);
    assert_eq!(second.stats().provider_calls, 1);
    assert_eq!(second.stats().lines, 50);
}

#[tokio::test]
async fn names_have_keys_of_their_own_and_never_wait() {
    let world = World::new();
    let node = world.builder().with_blind_names().open().await.unwrap();
    let (acme, other) = (space("acme", "products"), space("acme", "users"));
    assert!(node.naming(&acme).is_none(), "not at hand, and it does not wait");
    node.prepare(&acme).await.unwrap();
    let key = node.naming(&acme).unwrap().id();
    assert_eq!(node.naming(&other).unwrap().id(), key, "one for all keyspaces of the tenant");
    assert_ne!(sealing(&node, &acme).await.unwrap(), key);

    let second = world.builder().with_blind_names().open().await.unwrap();
    let task = second.run();
    assert!(second.naming(&acme).is_none());
    while second.naming(&acme).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(second.naming(&acme).unwrap().id(), key, "the background fetched it");
    drop(task);
    let plain = world.node().await;
    plain.prepare(&acme).await.unwrap();
    assert!(plain.naming(&acme).is_none(), "only for who asked for blind names");
}

#[tokio::test]
async fn a_node_holds_a_bounded_number_of_lines_and_reads_the_others_again() {
    let world = World::new();
    let node = world.builder().with_max_lines(16).open().await.unwrap();
    let mut ids = Vec::new();
    for tenant in 0..200 {
        ids.push(sealing(&node, &space(&format!("tenant-{tenant}"), "products")).await.unwrap());
        assert!(node.stats().lines <= 16);
    }
    for (tenant, id) in ids.into_iter().enumerate() {
        assert_eq!(opening(&node, &space(&format!("tenant-{tenant}"), "products"), id).await, Ok(id));
    }
    assert!(node.stats().lines <= 16);
}

#[tokio::test]
async fn who_stops_waiting_harms_nobody() {
    let world = World::new();
    let node = world.node().await;
    let space = space("acme", "products");
    let waits: Vec<_> = (0..10).map(|_| sealing(&node, &space)).collect();
    let mut waits: Vec<_> = waits.into_iter().map(Box::pin).collect();
    for wait in &mut waits {
        assert!(wait.now_or_never().is_none());
    }
    let last = waits.pop().unwrap();
    drop(waits);
    let id = last.await.unwrap();
    assert_eq!(sealing(&node, &space).await, Ok(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_at_once_make_one_key_with_few_reads() {
    let world = World::new();
    let records = Arc::new(Flaky::default());
    let node = world.builder_over(Arc::clone(&records) as Arc<dyn RecordStore>).open().await.unwrap();
    let (before, vault) = (*records.reads.lock(), world.vault.calls());
    let barrier = Arc::new(tokio::sync::Barrier::new(200));
    let mut waits = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (node, barrier) = (node.clone(), Arc::clone(&barrier));
        waits.spawn(async move {
            barrier.wait().await;
            sealing(&node, &space("acme", "products")).await.unwrap()
        });
    }
    let ids = waits.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    // Whoever asks while it is made waits for it; few come too late for that and too early to find it at hand.
    let calls = *records.reads.lock() - before;
    assert!((1..=8).contains(&calls), "{calls} calls of the record store for 200 who asked");
    assert_eq!(world.vault.calls(), vault, "a tenant's key needs no vault");
}

#[test]
fn everything_public_is_shared_between_threads() {
    fn check<T: Send + Sync + std::fmt::Debug>() {}
    check::<memstache_crypto::Keyring>();
    check::<memstache_crypto::KeyringBuilder>();
    check::<memstache_crypto::KeyringTask>();
    check::<memstache_crypto::KeyringStats>();
    check::<memstache_crypto::Shredder>();
    check::<memstache_crypto::MasterKey>();
    check::<memstache_crypto::DerivedKey>();
    check::<memstache_crypto::BranchKeyInfo>();
    check::<memstache_crypto::ProviderError>();
    check::<Box<dyn memstache_crypto::KeyProvider>>();
    check::<Box<dyn memstache_crypto::KeyManagement>>();
}
