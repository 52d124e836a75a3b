//! Members that others leave out, and that do not know it.

use memstache_core::SystemClock;

use super::{Nodes, kit::*};
use crate::{KeySpace, Put};

/// So many nodes without a source, with so many copies of each key, that know of each other.
pub(super) async fn nodes(count: usize, replicas: usize) -> Nodes {
    let keyspace = |_: &Counting| KeySpace::builder(KS).replicas(replicas);
    let nodes = Nodes::apart(count, SystemClock::new(), keyspace, |builder| builder).await;
    nodes.all_see(0..count).await;
    nodes
}

/// A key that one node owns and another has a copy of.
pub(super) fn kept(nodes: &Nodes, owner: usize, keeper: usize) -> String {
    let is_kept = |key: &String| {
        let view = nodes.engines[owner].node.cluster().unwrap().view();
        let partition = crate::placement::partition_of(format!(":{KS}:{key}").as_bytes());
        view.table.ranked(partition, 2)[1] == nodes.members[keeper].id
    };
    (0..).map(|n| nodes.key_of(owner, &format!("k{n}."))).find(is_kept).unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_from_a_split_has_those_let_go_who_noticed_nothing() {
    let nodes = nodes(3, 1).await;
    let keys = [0, 1].map(|owner| nodes.key_of(owner, "k"));
    for key in &keys {
        nodes.engines[0].put(KS, key, "old").await.unwrap();
    }
    // Node 2 alone leaves the others out, for a moment, and they do not hear of it.
    nodes.sees(2, [2]);
    nodes.settle([2]).await;
    for key in &keys {
        nodes.engines[2].put(KS, key, "new").await.unwrap();
        assert_eq!(read(&nodes.engines[0], key).await.as_deref(), Some("old"), "each side by itself");
    }
    nodes.sees(2, 0..3);
    nodes.settle(0..3).await;
    for key in &keys {
        for engine in &nodes.engines {
            assert_eq!(read(engine, key).await, None, "nobody knows which was the last");
        }
    }
    // It has been told once: what is written from now on stays.
    for key in &keys {
        nodes.engines[2].put(KS, key, "last").await.unwrap();
        tokio::time::sleep(secs(5)).await;
        assert_eq!(read(&nodes.engines[1], key).await.as_deref(), Some("last"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_noticed_nothing_and_cannot_be_reached_is_told_as_soon_as_it_can() {
    let nodes = nodes(3, 1).await;
    let key = nodes.key_of(0, "k");
    nodes.engines[0].put(KS, &key, "old").await.unwrap();
    nodes.sees(2, [2]);
    nodes.settle([2]).await;
    nodes.engines[2].put(KS, &key, "new").await.unwrap();
    nodes.hub.cut(nodes.members[0].id, nodes.members[2].id);
    nodes.sees(2, 0..3);
    tokio::time::sleep(secs(5)).await;
    assert_eq!(read(&nodes.engines[1], &key).await.as_deref(), Some("old"), "it has not heard");
    nodes.hub.heal();
    tokio::time::sleep(secs(1)).await;
    for engine in &nodes.engines {
        assert_eq!(read(engine, &key).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_the_copy_of_who_was_left_out_and_is_not_acknowledged_while_others_see_it() {
    let nodes = nodes(3, 2).await;
    let key = kept(&nodes, 0, 2);
    nodes.engines[0].put(KS, &key, "old").await.unwrap();
    nodes.hub.cut(nodes.members[0].id, nodes.members[2].id);
    nodes.sees(0, [0, 1]);
    let error = nodes.engines[0].delete(KS, &key).await.unwrap_err();
    assert!(error.may_have_effect(), "{error:?}");
    // When all agree that it is gone, and its lease has ended.
    nodes.sees(1, [0, 1]);
    nodes.settle([0, 1]).await;
    nodes.engines[0].delete(KS, &key).await.unwrap();
    assert_ne!(try_read(&nodes.engines[2], &key).await.ok().flatten().as_deref(), Some("old"));
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_waits_for_what_who_was_left_out_owns() {
    let nodes = nodes(3, 1).await;
    let home = nodes.home();
    let (other, out) = ((home + 1) % 3, (home + 2) % 3);
    let key = nodes.key_of(out, "k");
    nodes.engines[out].put(KS, &key, Put::new("old").tags(["red"])).await.unwrap();
    nodes.hub.cut(nodes.members[home].id, nodes.members[out].id);
    nodes.sees(home, [home, other]);
    let error = nodes.engines[home].invalidate_tag(KS, "red").await.unwrap_err();
    assert!(error.may_have_effect(), "{error:?}");
    assert_eq!(read(&nodes.engines[out], &key).await.as_deref(), Some("old"), "it was not told, and others see it");
    nodes.sees(other, [home, other]);
    nodes.settle([home, other]).await;
    nodes.engines[home].invalidate_tag(KS, "red").await.unwrap();
    assert_ne!(try_read(&nodes.engines[out], &key).await.ok().flatten().as_deref(), Some("old"));
}
