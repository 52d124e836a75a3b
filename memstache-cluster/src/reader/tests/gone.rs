//! Members that others leave out, and that do not know it.

use std::sync::Arc;

use memstache_core::{Clock as _, SystemClock};

use super::{
    Nodes,
    hub::{member, members},
    kit::*,
};
use crate::{
    Incarnation, KeySpace, MemberState, Put,
    owner::Served,
    placement::{Table, partition_of},
    reader::{Held, adopt},
    wire::{Answer, Call, CallContext, Handler as _, PeerInfo},
};

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
        let partition = partition_of(format!(":{KS}:{key}").as_bytes());
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

/// Lets a node that is no member tell another of so many splits.
async fn a_stranger_tells(nodes: &Nodes, to: usize, splits: u64) -> Answer {
    let cluster = nodes.engines[to].node.cluster().unwrap();
    let stranger = PeerInfo { id: member(9).id, incarnation: Incarnation(1), protocol: 1, remote: None };
    let epoch = cluster.view().epoch;
    let context = CallContext::until(cluster.clock.now().after(secs(1))).at_epoch(epoch);
    let node = Arc::downgrade(&nodes.engines[to].node);
    let answer = Served(node).handle(&Arc::new(stranger), Call::TakeOver { epoch, splits }, context).await;
    nodes.settle([to]).await;
    answer
}

#[tokio::test(start_paused = true)]
async fn who_is_no_member_is_heard_once() {
    let nodes = nodes(2, 1).await;
    let key = nodes.key_of(0, "k");
    nodes.engines[1].put(KS, &key, "old").await.unwrap();
    assert!(matches!(a_stranger_tells(&nodes, 0, 1).await, Answer::Done));
    assert_eq!(read(&nodes.engines[1], &key).await, None);
    for _ in 0..3 {
        nodes.engines[1].put(KS, &key, "new").await.unwrap();
        tokio::time::sleep(secs(5)).await;
        // The members change, and it is no member still.
        let starts = member(2).with_state(MemberState::Joining);
        adopt(&nodes.engines[0].node, [member(0), member(1), starts].into_iter().collect());
        nodes.sees(0, [0, 1]);
        nodes.settle([0, 1]).await;
        assert!(matches!(a_stranger_tells(&nodes, 0, 1).await, Answer::Done));
        assert_eq!(read(&nodes.engines[1], &key).await.as_deref(), Some("new"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_counts_on_and_on_has_a_node_let_go_once_within_a_lease() {
    let nodes = nodes(2, 1).await;
    let key = nodes.key_of(0, "k");
    assert!(matches!(a_stranger_tells(&nodes, 0, 1).await, Answer::Done));
    tokio::time::sleep(secs(5)).await;
    assert!(matches!(a_stranger_tells(&nodes, 0, 2).await, Answer::Done));
    nodes.engines[1].put(KS, &key, "new").await.unwrap();
    for splits in 3..100 {
        assert!(matches!(a_stranger_tells(&nodes, 0, splits).await, Answer::Failed(_)), "it is to tell again");
        assert_eq!(read(&nodes.engines[1], &key).await.as_deref(), Some("new"));
    }
    tokio::time::sleep(secs(1)).await;
    assert!(matches!(a_stranger_tells(&nodes, 0, 100).await, Answer::Done));
    assert_eq!(read(&nodes.engines[1], &key).await, None);
}

#[tokio::test(start_paused = true)]
async fn who_starts_long_after_a_split_keeps_what_was_handed_over() {
    let nodes = Nodes::apart(3, SystemClock::new(), |_| KeySpace::builder(KS).replicas(1), |builder| builder).await;
    nodes.all_see(0..2).await;
    nodes.sees(1, [1]);
    nodes.settle([1]).await;
    nodes.sees(1, 0..2);
    nodes.settle(0..2).await;
    tokio::time::sleep(secs(60)).await;
    let keys = (0..20).map(|n| format!("k{n}"));
    for key in keys.clone() {
        nodes.engines[0].put(KS, &key, "new").await.unwrap();
    }
    // Node 2 has heard of no splits: whoever asks whether it sees the same would tell it of this one.
    nodes.all_see(0..3).await;
    assert!(keys.clone().any(|key| nodes.owner(&key) == 2));
    tokio::time::sleep(secs(5)).await;
    for key in keys {
        assert_eq!(read(&nodes.engines[0], &key).await.as_deref(), Some("new"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_could_not_be_reached_is_told_even_if_that_is_long_ago_and_then_no_more() {
    let nodes = nodes(3, 1).await;
    let key = nodes.key_of(0, "k");
    nodes.engines[0].put(KS, &key, "old").await.unwrap();
    nodes.hub.cut(nodes.members[0].id, nodes.members[2].id);
    for _ in 0..2 {
        nodes.sees(2, [2]);
        nodes.settle([2]).await;
        nodes.sees(2, 0..3);
        tokio::time::sleep(secs(10)).await;
    }
    tokio::time::sleep(secs(60)).await;
    assert_eq!(read(&nodes.engines[1], &key).await.as_deref(), Some("old"), "it has not heard");
    nodes.hub.heal();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(read(&nodes.engines[1], &key).await, None);
}

/// How often node 2 asks or tells node 0 within a minute. It asks whether both see the same every half second at most.
async fn told_within_a_minute(nodes: &Nodes) -> usize {
    let calls = || nodes.hub.calls_between("take_over", nodes.members[2].id, nodes.members[0].id);
    let before = calls();
    tokio::time::sleep(secs(60)).await;
    calls() - before
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_reached_is_told_by_one_alone_and_seldom_and_not_in_another_life() {
    let nodes = nodes(3, 1).await;
    nodes.hub.kill(nodes.members[0].id);
    // Node 1 is left out twice; node 0 is there all the time, and silent.
    for _ in 0..2 {
        nodes.sees(2, [0, 2]);
        tokio::time::sleep(secs(10)).await;
        nodes.sees(2, 0..3);
        tokio::time::sleep(secs(10)).await;
    }
    let told = told_within_a_minute(&nodes).await;
    // By whom it is told, every 400 ms; and it is asked, if not another answers first.
    assert!((140..300).contains(&told), "{told}");
    let anew = member(0).with_incarnation(Incarnation(2));
    adopt(&nodes.engines[2].node, [anew, member(1), member(2)].into_iter().collect());
    tokio::time::sleep(secs(10)).await;
    let told = told_within_a_minute(&nodes).await;
    assert!(told <= 125, "{told}");
}

#[tokio::test(start_paused = true)]
async fn who_has_heard_is_told_no_more_whatever_it_sees() {
    let nodes = nodes(3, 1).await;
    nodes.hub.cut(nodes.members[0].id, nodes.members[2].id);
    nodes.sees(2, [2]);
    nodes.settle([2]).await;
    nodes.sees(2, 0..3);
    tokio::time::sleep(secs(40)).await;
    nodes.sees(0, [0, 1]);
    nodes.hub.heal();
    tokio::time::sleep(secs(5)).await;
    let told = told_within_a_minute(&nodes).await;
    assert!(told <= 125, "{told}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_known_to_disagree_who_had_no_time_to_answer() {
    let nodes = nodes(2, 1).await;
    let cluster = nodes.engines[0].node.cluster().unwrap();
    let after = |millis| cluster.clock.now().after(std::time::Duration::from_millis(millis));
    nodes.hub.cut(nodes.members[0].id, nodes.members[1].id);
    tokio::time::sleep(secs(2)).await;
    assert!(cluster.vouch(&cluster.view(), after(5)).await.is_err());
    nodes.hub.heal();
    cluster.vouch(&cluster.view(), after(1000)).await.unwrap();
    // One that cannot be reached at all says so at once, and is asked again by the next try of a request.
    nodes.hub.kill(nodes.members[1].id);
    tokio::time::sleep(secs(2)).await;
    assert!(cluster.vouch(&cluster.view(), after(1000)).await.is_err());
    nodes.hub.revive(nodes.members[1].id);
    assert!(cluster.vouch(&cluster.view(), after(1000)).await.is_err(), "that is known");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    cluster.vouch(&cluster.view(), after(1000)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_was_out_of_touch_and_lost_one_that_is_not_back_has_nobody_else_let_go() {
    let nodes = nodes(4, 1).await;
    nodes.hub.kill(nodes.members[3].id);
    nodes.all_see(0..3).await;
    let keys = [0, 1].map(|owner| nodes.key_of(owner, "k"));
    for key in &keys {
        nodes.engines[1].put(KS, key, "new").await.unwrap();
    }
    [1, 2].iter().for_each(|other| nodes.hub.cut(nodes.members[0].id, nodes.members[*other].id));
    tokio::time::sleep(secs(5)).await;
    nodes.hub.heal();
    tokio::time::sleep(secs(5)).await;
    assert_eq!(read(&nodes.engines[0], &keys[0]).await, None, "it was out of touch");
    assert_eq!(read(&nodes.engines[0], &keys[1]).await.as_deref(), Some("new"));
}

#[tokio::test(start_paused = true)]
async fn who_lets_go_of_all_asks_for_nothing_more_by_an_earlier_view() {
    let nodes = Nodes::apart(3, SystemClock::new(), |_| KeySpace::builder(KS), |builder| builder).await;
    nodes.all_see(0..2).await;
    nodes.all_see(0..3).await;
    let key = nodes.key_of(2, "k");
    let cluster = nodes.engines[2].node.cluster().unwrap();
    let Held::Taken(taking) = cluster.view().held(format!(":{KS}:{key}").as_bytes()) else { panic!("not taken") };
    assert!(taking.source(cluster.clock.now()).is_some());
    a_stranger_tells(&nodes, 2, 1).await;
    assert!(taking.source(cluster.clock.now()).is_none());
}

#[tokio::test(start_paused = true)]
async fn who_said_goodbye_is_not_waited_out() {
    let nodes = nodes(3, 1).await;
    let clock = SystemClock::new();
    nodes.hub.cut(nodes.members[0].id, nodes.members[2].id);
    let drains = [member(0), member(1), member(2).with_state(MemberState::Draining)];
    for node in 0..2 {
        adopt(&nodes.engines[node].node, drains.iter().cloned().collect());
    }
    let start = clock.now();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    for node in 0..2 {
        nodes.sees(node, [0, 1]);
    }
    nodes.settle([0]).await;
    assert!(clock.now().since(start) < secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waits_while_its_owner_lets_go_of_all_is_not_acknowledged() {
    let nodes = nodes(3, 2).await;
    let key = kept(&nodes, 0, 2);
    // Nobody is asked any more for what it held before.
    tokio::time::sleep(secs(11)).await;
    nodes.hub.cut(nodes.members[0].id, nodes.members[2].id);
    nodes.sees(0, [0, 1]);
    let engine = nodes.engines[0].clone();
    let written = key.clone();
    let write = tokio::spawn(async move { engine.put(KS, &written, "new").await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!write.is_finished(), "it waits for the copy of node 2");
    nodes.sees(1, [0, 1]);
    let view = nodes.engines[0].node.cluster().unwrap().view();
    a_stranger_tells(&nodes, 0, 1).await;
    let error = write.await.unwrap().unwrap_err();
    assert!(error.may_have_effect(), "{error:?}");
    assert!(!view.keeps_since(&view), "nor while the next view was not there yet");
}

#[tokio::test(start_paused = true)]
async fn who_sees_nobody_acknowledges_nothing_to_others_who_see_each_other() {
    let nodes = nodes(3, 2).await;
    let home = nodes.home();
    let (one, other) = ((home + 1) % 3, (home + 2) % 3);
    let (key, lost) = (nodes.key_of(one, "k"), kept(&nodes, home, other));
    nodes.engines[one].put(KS, &key, Put::new("old").tags(["red"])).await.unwrap();
    // It can be reached, and cannot reach anybody.
    nodes.sees(home, [home]);
    tokio::time::sleep(secs(3)).await;
    let error = nodes.engines[one].invalidate_tag(KS, "red").await.unwrap_err();
    assert!(!error.may_have_effect(), "{error:?}");
    assert_eq!(read(&nodes.engines[one], &key).await.as_deref(), Some("old"), "it was told of nothing");
    let error = nodes.engines[one].put(KS, &lost, "new").await.unwrap_err();
    assert!(!error.may_have_effect(), "{error:?}");
    let error = nodes.engines[one].delete_fast(KS, &lost).await.unwrap_err();
    assert!(!error.may_have_effect(), "{error:?}");
    assert!(nodes.engines[one].flush(KS).await.is_err());
    nodes.engines[home].put(KS, &lost, "new").await.unwrap();
    nodes.sees(home, 0..3);
    nodes.settle(0..3).await;
    nodes.engines[one].put(KS, &lost, "last").await.unwrap();
    assert_eq!(read(&nodes.engines[other], &lost).await.as_deref(), Some("last"));
}

#[tokio::test(start_paused = true)]
async fn who_is_lost_while_it_waits_for_a_write_is_not_told_that_it_is_done() {
    let nodes = nodes(3, 2).await;
    let key = kept(&nodes, 0, 2);
    nodes.hub.cut(nodes.members[0].id, nodes.members[2].id);
    let engine = nodes.engines[1].clone();
    let write = tokio::spawn(async move { engine.put(KS, &key, "new").await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!write.is_finished(), "it waits for the copy of node 2");
    nodes.sees(0, [0]);
    let error = write.await.unwrap().unwrap_err();
    assert!(error.may_have_effect(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn owners_that_write_to_a_lost_replica_do_not_wait_for_each_other_and_take_over_what_it_owned() {
    let nodes = nodes(3, 2).await;
    let lost = [0, 1].map(|keeper| kept(&nodes, 2, keeper));
    for key in &lost {
        nodes.engines[0].put(KS, key, "old").await.unwrap();
    }
    nodes.hub.kill(nodes.members[2].id);
    let writes = [0, 1].map(|owner| {
        let (engine, key) = (nodes.engines[owner].clone(), kept(&nodes, owner, 2));
        tokio::spawn(async move { engine.put(KS, &key, "new").await })
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    nodes.all_see(0..2).await;
    for key in &lost {
        assert_eq!(read(&nodes.engines[0], key).await.as_deref(), Some("old"));
    }
    for write in writes {
        write.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waits_while_its_key_is_another_s_for_a_moment_is_not_acknowledged() {
    let nodes = Nodes::apart(4, SystemClock::new(), |_| KeySpace::builder(KS).replicas(2), |builder| builder).await;
    nodes.all_see(0..3).await;
    let [three, two, another] = [&[0, 1, 2][..], &[0, 1], &[0, 1, 3]].map(|all| Table::of(&members(all.to_vec())));
    let key = (0..).map(|n| nodes.key_of(0, &format!("k{n}."))).find(|key| {
        let partition = partition_of(format!(":{KS}:{key}").as_bytes());
        let [own, other] = [0, 3].map(|node| Some(nodes.members[node].id));
        let moves = two.owner(partition) == own && another.owner(partition) == other;
        moves && three.ranked(partition, 2)[1] == nodes.members[2].id
    });
    let (key, engine) = (key.unwrap(), nodes.engines[0].clone());
    // Nobody is asked any more for what it held before.
    tokio::time::sleep(secs(11)).await;
    nodes.hub.cut(nodes.members[0].id, nodes.members[2].id);
    nodes.sees(0, [0, 1]);
    let write = tokio::spawn(async move { engine.put(KS, &key, "new").await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!write.is_finished(), "it waits for the copy of node 2");
    nodes.sees(0, [0, 1, 3]);
    nodes.sees(0, [0, 1]);
    nodes.sees(1, [0, 1]);
    let error = write.await.unwrap().unwrap_err();
    assert!(error.may_have_effect(), "{error:?}");
}
