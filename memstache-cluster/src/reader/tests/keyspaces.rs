//! Keyspaces that come, change and go on all nodes.

use memstache_core::{ErrorKind, SystemClock, TenantId};

use super::{Nodes, kit::*};
use crate::{Engine, EngineError, EngineEvent, Events, KeySpace, KeySpaceBuilder, KeySpaceChange, KeySpaceStatus};

fn bare(name: &str) -> KeySpaceBuilder {
    KeySpace::builder(name).max_bytes(1 << 20)
}

fn status(engine: &Engine, name: &str) -> Option<KeySpaceStatus> {
    engine.keyspaces().into_iter().find(|keyspace| keyspace.name().as_str() == name)
}

/// Returns what was told of keyspaces so far.
fn told(events: &mut Events) -> Vec<(String, KeySpaceChange)> {
    use futures_util::FutureExt as _;
    let next = || events.next().now_or_never().flatten();
    let change = |event| match event {
        EngineEvent::KeySpace { keyspace, change } => Some((keyspace.as_str().to_owned(), change)),
        _ => None,
    };
    std::iter::from_fn(next).filter_map(change).collect()
}

#[tokio::test(start_paused = true)]
async fn a_keyspace_without_a_source_is_served_by_all_nodes_once_it_is_created() {
    let nodes = Nodes::joined(3).await;
    let mut events: Vec<_> = nodes.engines.iter().map(Engine::events).collect();
    nodes.engines[0].create_keyspace(bare("carts").build().unwrap()).await.unwrap();
    for n in 0..30 {
        nodes.engines[n % 3].put("carts", format!("k{n}"), "v").await.unwrap();
        assert!(nodes.engines[(n + 1) % 3].get("carts", format!("k{n}")).await.unwrap().is_some());
    }
    let exists = nodes.engines[1].create_keyspace(bare("carts").build().unwrap()).await.unwrap_err();
    assert_eq!(exists.find_source(), Some(&EngineError::KeyspaceExists));
    nodes.engines[2].update_keyspace(bare("carts").max_bytes(2 << 20).build().unwrap()).await.unwrap();
    for engine in &nodes.engines {
        let status = status(engine, "carts").unwrap();
        assert_eq!((status.version(), status.max_bytes(), status.is_conflicting()), (2, 2 << 20, false));
        assert_eq!((status.created_by(), status.changed_by()), (nodes.members[0].id, nodes.members[2].id));
    }
    nodes.engines[1].delete_keyspace("carts").await.unwrap();
    for (engine, events) in nodes.engines.iter().zip(&mut events) {
        let error = engine.get("carts", "k1").await.unwrap_err();
        assert_eq!(error.find_source(), Some(&EngineError::KeyspaceNotFound));
        use KeySpaceChange::*;
        assert_eq!(told(events), [Created, Updated, Deleted].map(|change| ("carts".to_owned(), change)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_given_no_source_says_so_until_it_is() {
    let nodes = Nodes::joined(3).await;
    let mut events = nodes.engines[1].events();
    let (source, other) = (Counting::default(), Counting::default());
    let with = |source: &Counting| KeySpace::builder("more").source(source.clone()).max_bytes(1 << 20).build().unwrap();
    nodes.engines[0].create_keyspace(with(&source)).await.unwrap();
    let undefined = status(&nodes.engines[1], "more").unwrap();
    assert!(!undefined.is_defined() && undefined.has_source() && undefined.max_bytes() == 0);
    assert_eq!(told(&mut events), [("more".to_owned(), KeySpaceChange::Undefined)]);
    for n in 0..20 {
        assert!(nodes.engines[0].get("more", format!("k{n}")).await.unwrap().is_some());
    }
    nodes.engines[1].create_keyspace(with(&other)).await.unwrap();
    nodes.engines[2].create_keyspace(with(&other)).await.unwrap();
    assert!(status(&nodes.engines[1], "more").unwrap().is_defined());
    assert_eq!(status(&nodes.engines[2], "more").unwrap().version(), 1, "it is the same one");
    for n in 20..60 {
        assert!(nodes.engines[0].get("more", format!("k{n}")).await.unwrap().is_some());
    }
    assert!(other.total() > 0);
    // Settings travel, sources do not.
    let ttl = KeySpace::builder("more").source(source.clone()).default_ttl(secs(9)).build().unwrap();
    nodes.engines[0].update_keyspace(ttl).await.unwrap();
    let before = other.total();
    for n in 60..100 {
        assert!(nodes.engines[1].get("more", format!("k{n}")).await.unwrap().is_some());
    }
    assert!(other.total() > before);
    assert_eq!(status(&nodes.engines[1], "more").unwrap().max_bytes(), 64 << 20);
}

#[tokio::test(start_paused = true)]
async fn nodes_that_were_given_different_settings_use_the_same_and_report_it() {
    let source = Counting::default();
    let count = std::sync::atomic::AtomicUsize::new(1);
    let different = |_: &Counting| {
        let megabytes = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        sourced(&source).max_bytes(megabytes << 20)
    };
    let nodes = Nodes::apart(3, SystemClock::new(), different, |builder| builder).await;
    let mut events: Vec<_> = nodes.engines.iter().map(Engine::events).collect();
    nodes.all_see(0..3).await;
    tokio::time::sleep(secs(5)).await;
    let greatest = nodes.members.iter().enumerate().max_by_key(|(_, member)| member.id).unwrap();
    for engine in &nodes.engines {
        let status = status(engine, KS).unwrap();
        assert_eq!((status.version(), status.changed_by()), (1, greatest.1.id), "all choose alike");
        assert_eq!(status.max_bytes(), (greatest.0 + 1) << 20);
    }
    let conflicting = |engine: &&Engine| status(engine, KS).unwrap().is_conflicting();
    assert_eq!(nodes.engines.iter().filter(conflicting).count(), 3);
    for (engine, events) in nodes.engines.iter().zip(&mut events) {
        assert!(engine.stats(KS).unwrap().conflicts > 0);
        assert!(told(events).contains(&(KS.to_owned(), KeySpaceChange::Conflict)));
    }
    nodes.engines[0].update_keyspace(sourced(&source).max_bytes(9 << 20).build().unwrap()).await.unwrap();
    for engine in &nodes.engines {
        assert!(!conflicting(&engine) && status(engine, KS).unwrap().max_bytes() == 9 << 20);
    }
}

#[tokio::test(start_paused = true)]
async fn who_missed_changes_hears_of_them_when_it_is_back() {
    let nodes = Nodes::joined(3).await;
    let create = |name: &str| bare(name).build().unwrap();
    nodes.engines[0].create_keyspace(create("gone")).await.unwrap();
    nodes.engines[2].put(KS, "k", "old").await.unwrap();
    let gone = nodes.members[2].id;
    nodes.hub.kill(gone);
    for node in 0..2 {
        nodes.sees(node, [0, 1]);
    }
    nodes.sees(2, [2]);
    nodes.settle(0..3).await;
    nodes.engines[0].create_keyspace(create("new")).await.unwrap();
    nodes.engines[1].delete_keyspace("gone").await.unwrap();
    nodes.engines[2].create_keyspace(create("apart")).await.unwrap();
    let at = nodes.engines[0].flush(KS).await.unwrap();
    nodes.hub.revive(gone);
    nodes.all_see(0..3).await;
    tokio::time::sleep(secs(5)).await;
    for engine in &nodes.engines {
        let names: Vec<_> = engine.keyspaces().iter().map(|status| status.name().as_str().to_owned()).collect();
        assert_eq!(names, ["apart", "new", KS]);
        assert_ne!(read(engine, "k").await.as_deref(), Some("old"));
    }
    assert!(nodes.engines[2].flush(KS).await.unwrap() > at);
}

#[tokio::test(start_paused = true)]
async fn a_flush_by_any_node_hides_all_on_every_node() {
    let nodes = Nodes::joined(3).await;
    let acme = TenantId::new("acme").unwrap();
    for (round, by) in [0, 1, 2].into_iter().enumerate() {
        for n in 0..20 {
            nodes.engines[0].put(KS, format!("k{n}"), "put").await.unwrap();
            nodes.engines[1].for_tenant(&acme).put(KS, format!("k{n}"), "put").await.unwrap();
        }
        nodes.engines[by].flush(KS).await.unwrap();
        for engine in &nodes.engines {
            for n in 0..20 {
                for handle in [engine.clone(), engine.for_tenant(&acme)] {
                    assert_ne!(read(&handle, &format!("k{n}")).await.as_deref(), Some("put"), "{round} {by}");
                }
            }
        }
    }
    let error = nodes.engines[0].flush("no such").await.unwrap_err();
    assert_eq!(error.find_source(), Some(&EngineError::KeyspaceNotFound));
}

#[tokio::test(start_paused = true)]
async fn a_flush_and_a_change_wait_for_a_member_that_does_not_answer_and_end_in_time() {
    let nodes = Nodes::joined(3).await;
    let home = nodes.home();
    let (gone, caller) = ((home + 1) % 3, (home + 2) % 3);
    nodes.hub.kill(nodes.members[gone].id);
    let start = Stopwatch::start();
    let error = nodes.engines[caller].flush(KS).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "it cannot be known");
    nodes.engines[caller].create_keyspace(bare("more").build().unwrap()).await.unwrap();
    assert!(start.elapsed() < secs(12), "{:?}", start.elapsed());
    assert!(status(&nodes.engines[home], "more").is_some() && status(&nodes.engines[gone], "more").is_none());
    // A caller who leaves leaves the telling to the node.
    let leaves = nodes.engines[caller].delete_keyspace("more");
    assert!(tokio::time::timeout(millis(10), leaves).await.is_err());
    nodes.hub.revive(nodes.members[gone].id);
    tokio::time::sleep(secs(2)).await;
    assert!(nodes.engines.iter().all(|engine| status(engine, "more").is_none()));
}
