//! Keyspaces with replicas: what a replica has when a write is acknowledged, and what it may answer.

use memstache_core::{Address, ErrorKind, KeyspaceName, OneOrMany, Space, SystemClock};

use super::{Nodes, kit::*};
use crate::{KeySpace, KeySpaceStats, Put, placement::partition_of};

async fn bare(count: usize) -> Nodes {
    Nodes::apart(count, SystemClock::new(), |_| KeySpace::builder(KS).replicas(2), |builder| builder).await
}

async fn over_sources(count: usize) -> Nodes {
    let nodes = Nodes::apart(count, SystemClock::new(), |source| sourced(source).replicas(2), |builder| builder).await;
    nodes.all_see(0..count).await;
    nodes
}

fn keys() -> Vec<String> {
    (0..200).map(|n| format!("k{n}")).collect()
}

fn sum(nodes: &Nodes, of: fn(&KeySpaceStats) -> u64) -> u64 {
    nodes.engines.iter().map(|engine| of(&engine.stats(KS).unwrap())).sum()
}

impl Nodes {
    /// Returns who is to keep the copy of a key, by what a node sees.
    fn replica_seen_by(&self, node: usize, key: &str) -> usize {
        let view = self.engines[node].node.cluster().expect("not alone").view();
        let ranked = view.table.ranked(partition_of(format!(":{KS}:{key}").as_bytes()), 2);
        self.members.iter().position(|member| member.id == ranked[1]).expect("a member")
    }

    /// Returns the copy that a node keeps of a key, whoever asks.
    async fn copy_on(&self, node: usize, key: &str) -> Option<String> {
        let local = self.engines[node].node.registry.slot(KS).unwrap().current().unwrap();
        let cluster = self.engines[node].node.cluster().expect("not alone");
        let space = Space::new(None, &KeyspaceName::new(KS).unwrap());
        let address = Address::plain(&space, key).unwrap();
        let copies = local.copies.as_ref().expect("it has replicas");
        let held = copies.read(&cluster.view(), cluster.me, OneOrMany::One(address), 2).await;
        held.into_one().flatten().map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_on_its_replica_and_nowhere_else() {
    let nodes = bare(3).await;
    nodes.all_see(0..3).await;
    for (n, key) in keys().iter().enumerate() {
        nodes.engines[n % 3].put(KS, key, "first").await.unwrap();
        nodes.engines[n % 3].put(KS, key, "last").await.unwrap();
        let replica = nodes.replica_seen_by(0, key);
        assert_ne!(replica, nodes.owner(key));
        assert_eq!(nodes.copy_on(replica, key).await.as_deref(), Some("last"));
    }
    assert_eq!((sum(&nodes, |stats| stats.main_entries), sum(&nodes, |stats| stats.replica_entries)), (200, 200));
    assert!(sum(&nodes, |stats| stats.replica_bytes) > 200 * 4);
    let removed = nodes.engines[0].delete_many(KS, &keys()[..150]).await.unwrap();
    assert!(removed.into_iter().all(|removed| removed.unwrap()));
    assert_eq!(sum(&nodes, |stats| stats.replica_entries), 50);
    nodes.engines[1].clear(KS).await.unwrap();
    for key in keys() {
        assert_eq!(nodes.copy_on(nodes.replica_seen_by(0, &key), &key).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_a_lost_owner_is_read_from_its_replica_before_the_source() {
    let nodes = over_sources(3).await;
    for key in keys() {
        assert_eq!(read(&nodes.engines[0], &key).await, Some(format!("{key}#1")));
    }
    for key in &keys()[..20] {
        nodes.engines[1].put(KS, key, "put").await.unwrap();
    }
    let before = nodes.loads();
    nodes.hub.kill(nodes.members[2].id);
    let lost: Vec<String> = keys().into_iter().filter(|key| nodes.owner(key) == 2).collect();
    for (n, key) in keys().iter().enumerate() {
        let expected = if n < 20 { "put".to_owned() } else { format!("{key}#1") };
        assert_eq!(read(&nodes.engines[n % 2], key).await, Some(expected));
    }
    assert_eq!(nodes.loads(), before, "no source was asked");
    assert_eq!(sum(&nodes, |stats| stats.replica_loads), lost.len() as u64);
    let found = nodes.engines[0].get_many(KS, keys()).await.unwrap();
    assert!(found.into_iter().all(|found| found.unwrap().is_some()));
    // What no replica has comes from the source.
    let unknown = nodes.key_of(2, "unknown");
    assert_eq!(read(&nodes.engines[0], &unknown).await, Some(format!("{unknown}#1")));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_becomes_the_owner_goes_on_from_what_it_has() {
    let nodes = bare(3).await;
    nodes.all_see(0..3).await;
    for key in keys() {
        nodes.engines[0].put(KS, &key, Put::new("first").tags(["red"])).await.unwrap();
    }
    nodes.engines[0].invalidate_tag(KS, "red").await.unwrap();
    for (n, key) in keys().iter().enumerate().filter(|(n, _)| n % 4 > 0) {
        nodes.engines[0].put(KS, key, Put::new("last").tags([["red", "blue"][n % 2]])).await.unwrap();
    }
    for key in keys().iter().skip(1).step_by(4) {
        assert!(nodes.engines[1].delete(KS, key).await.unwrap());
    }
    nodes.engines[0].invalidate_tag(KS, "blue").await.unwrap();
    // Of each four: hidden, deleted, kept, hidden by the other tag.
    let (lost, replica): (Vec<usize>, Vec<usize>) =
        keys().iter().map(|key| (nodes.owner(key), nodes.replica_seen_by(0, key))).unzip();
    nodes.hub.kill(nodes.members[2].id);
    nodes.all_see(0..2).await;
    let (mut kept, mut moved) = (0, 0);
    for (n, key) in keys().iter().enumerate() {
        let seen = read(&nodes.engines[n % 2], key).await;
        assert_eq!(read(&nodes.engines[(n + 1) % 2], key).await, seen);
        let expected = [None, None, Some("last"), None][n % 4];
        if lost[n] == 2 && expected.is_some() {
            // Few go to another than who was next: it has too much already.
            (kept, moved) = (kept + usize::from(seen.is_some()), moved + 1);
            assert!(seen.is_none() || seen.as_deref() == expected);
            assert!(seen.is_some() || nodes.owner(key) != replica[n], "{key}");
        } else {
            assert_eq!(seen.as_deref(), expected, "{key}");
        }
    }
    assert!(moved > 5 && kept * 10 > moved * 8, "{kept} of {moved}");
    // And they have a copy again.
    tokio::time::sleep(secs(1)).await;
    let main = sum(&nodes, |stats| stats.main_entries);
    nodes.engines[0].put(KS, "one more", "v").await.unwrap();
    for key in keys().iter().skip(2).step_by(4) {
        if read(&nodes.engines[0], key).await.is_some() {
            assert_eq!(
                nodes.copy_on(nodes.replica_seen_by(0, key), key).await.as_deref(),
                Some("last"),
                "{key} of {main}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_write_is_acknowledged_before_its_replica_has_it_or_is_declared_dead() {
    let nodes = bare(3).await;
    nodes.all_see(0..3).await;
    let key = (0..).map(|n| format!("k{n}")).find(|key| nodes.owner(key) == 0 && nodes.replica_seen_by(0, key) == 1);
    let key = key.unwrap();
    nodes.engines[0].put(KS, &key, "old").await.unwrap();
    nodes.hub.cut(nodes.members[0].id, nodes.members[1].id);
    let error = nodes.engines[0].delete(KS, &key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "it may have happened");
    // Another key sees nothing of it.
    let other = (0..).map(|n| format!("o{n}")).find(|key| nodes.owner(key) == 0 && nodes.replica_seen_by(0, key) == 2);
    let start = Stopwatch::start();
    nodes.engines[0].put(KS, other.unwrap(), "v").await.unwrap();
    assert!(start.elapsed() < millis(100));
    nodes.hub.heal();
    assert!(!nodes.engines[0].delete(KS, &key).await.unwrap(), "it was gone already");
    assert_eq!(nodes.copy_on(1, &key).await, None);
    // Once it is declared dead, nobody waits for it.
    nodes.hub.kill(nodes.members[1].id);
    nodes.all_see([0, 2]).await;
    nodes.engines[2].put(KS, &key, "new").await.unwrap();
    assert_eq!(read(&nodes.engines[0], &key).await.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn who_kept_a_copy_by_an_older_view_has_dropped_it_when_a_write_is_acknowledged() {
    let nodes = bare(4).await;
    nodes.all_see(0..3).await;
    for key in keys() {
        nodes.engines[0].put(KS, &key, "old").await.unwrap();
    }
    let before: Vec<(usize, usize)> =
        keys().iter().map(|key| (nodes.owner(key), nodes.replica_seen_by(0, key))).collect();
    // Node 3 joins; node 1 has not heard of it.
    for node in [0, 2, 3] {
        nodes.sees(node, 0..4);
    }
    nodes.settle([0, 2, 3]).await;
    let mut checked = 0;
    for (key, (owner, replica)) in keys().iter().zip(before) {
        if owner != 1 && nodes.owner(key) == owner && replica == 1 && nodes.replica_seen_by(0, key) == 3 {
            nodes.engines[owner].put(KS, key, "new").await.unwrap();
            assert_eq!(nodes.copy_on(1, key).await, None);
            assert_eq!(nodes.copy_on(3, key).await.as_deref(), Some("new"));
            checked += 1;
        }
    }
    assert!(checked > 3, "{checked}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_whose_members_do_not_agree_drops_what_it_has_of_a_lost_owner() {
    let nodes = bare(3).await;
    nodes.all_see(0..3).await;
    let key = (0..).map(|n| format!("k{n}")).find(|key| nodes.owner(key) == 0 && nodes.replica_seen_by(0, key) == 1);
    let key = key.unwrap();
    nodes.engines[0].put(KS, &key, "old").await.unwrap();
    // Node 1 alone believes that node 0 is gone: it may have been taken for dead itself.
    nodes.sees(1, [1, 2]);
    nodes.settle([1]).await;
    assert_eq!(nodes.engines[1].stats(KS).unwrap().replica_entries, 0);
    assert_eq!(nodes.owner_seen_by(1, &key), 1);
    assert_ne!(try_read(&nodes.engines[1], &key).await.ok().flatten().as_deref(), Some("old"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_owner_is_hedged_by_its_replica_and_no_more_than_one_read_in_twenty() {
    let nodes = over_sources(3).await;
    let keys: Vec<String> = keys().into_iter().filter(|key| nodes.owner(key) == 1).collect();
    nodes.hub.delay(millis(1));
    for _ in 0..8 {
        for key in &keys {
            assert_eq!(read(&nodes.engines[0], key).await, Some(format!("{key}#1")));
        }
    }
    assert_eq!(nodes.engines[0].stats(KS).unwrap().hedged, 0);
    // Now it does not answer at all.
    nodes.hub.cut(nodes.members[0].id, nodes.members[1].id);
    let key = keys.iter().find(|key| nodes.replica_seen_by(0, key) == 2).unwrap();
    let start = Stopwatch::start();
    assert_eq!(read(&nodes.engines[0], key).await, Some(format!("{key}#1")));
    assert!(start.elapsed() < millis(20), "{:?}", start.elapsed());
    // As long as there is a budget; then the owner is waited for, and the replica asked afterwards.
    for _ in 0..30 {
        assert_eq!(read(&nodes.engines[0], key).await, Some(format!("{key}#1")));
    }
    let stats = nodes.engines[0].stats(KS).unwrap();
    assert!(stats.hedged <= 12 && stats.replica_loads >= 31, "{stats:?}");
    assert_eq!(nodes.sources[0].asked(key) + nodes.sources[2].asked(key), 0, "no other source was asked");
    // Keys that their owner answers in time are not hedged.
    nodes.hub.heal();
    let hedged = nodes.engines[0].stats(KS).unwrap().hedged;
    for key in &keys {
        assert!(read(&nodes.engines[0], key).await.is_some());
    }
    assert_eq!(nodes.engines[0].stats(KS).unwrap().hedged, hedged);
}
