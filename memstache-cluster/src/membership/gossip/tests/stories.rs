//! Stories of clusters, on a clock that is turned by hand.

use std::time::Duration;

use crate::{
    member::MemberState,
    membership::gossip::simulation::{Settings, Simulation, id},
};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cluster that has come together, and how long that took.
fn cluster(nodes: usize, settings: Settings) -> (Simulation, Duration) {
    let mut cluster = Simulation::new(nodes, settings);
    cluster.start_all();
    let took = cluster.run_until(seconds(60), Simulation::agree).expect("they find each other");
    cluster.run_for(Duration::from_millis(200));
    (cluster, took)
}

#[test]
fn nodes_that_start_at_once_become_one_cluster() {
    for nodes in [2, 3, 10, 50] {
        for seed in 0..4 {
            let (cluster, took) = cluster(nodes, Settings::new(seed));
            assert!(took < seconds(5), "{nodes} nodes, seed {seed}: {took:?}");
            let first = cluster.members(0);
            assert_eq!(first.len(), nodes);
            assert!((1..nodes).all(|node| cluster.members(node) == first), "all have the same list");
        }
    }
}

#[test]
fn loss_does_not_keep_them_apart_and_kills_nobody() {
    for seed in 0..4 {
        let (mut cluster, took) = cluster(20, Settings::new(seed).with_loss(0.1));
        assert!(took < seconds(10), "seed {seed}: {took:?}");
        cluster.run_for(seconds(60));
        assert!(cluster.run_until(seconds(10), Simulation::agree).is_some());
        let lost: u64 = (0..20).map(|node| cluster.stats(node).lost).sum();
        assert!(lost <= 20, "seed {seed}: {lost}");
    }
}

#[test]
fn without_streams_they_come_together_too() {
    for seed in 0..3 {
        let (_, took) = cluster(30, Settings::new(seed).without_streams().with_loss(0.05));
        assert!(took < seconds(15), "seed {seed}: {took:?}");
    }
}

#[test]
fn a_crash_is_noticed() {
    for nodes in [2, 3, 50] {
        for seed in 0..4 {
            let (mut cluster, _) = cluster(nodes, Settings::new(seed));
            cluster.crash(1);
            let took = cluster.run_until(seconds(30), |cluster| cluster.all_see(1, false));
            assert!(took.is_some_and(|took| took < seconds(8)), "{nodes} nodes, seed {seed}: {took:?}");
            assert!(cluster.agree());
        }
    }
}

#[test]
fn whoever_leaves_is_gone_at_once() {
    for nodes in [2, 3, 50] {
        let (mut cluster, _) = cluster(nodes, Settings::new(3).with_loss(0.05));
        cluster.leave(1);
        let took = cluster.run_until(seconds(30), |cluster| cluster.all_see(1, false));
        assert!(took.is_some_and(|took| took <= seconds(2)), "{nodes} nodes: {took:?}");
    }
}

#[test]
fn a_split_is_seen_and_heals() {
    for nodes in [2, 3, 5, 50] {
        for seed in 0..4 {
            let (mut cluster, _) = cluster(nodes, Settings::new(seed));
            (0..nodes / 2).for_each(|node| cluster.put_on_side(node, 1));
            let took = cluster.run_until(seconds(60), Simulation::agree);
            assert!(took.is_some_and(|took| took < seconds(30)), "{nodes} nodes, seed {seed}: split after {took:?}");
            cluster.run_for(seconds(30));
            cluster.heal();
            let took = cluster.run_until(seconds(60), Simulation::agree);
            assert!(took.is_some_and(|took| took <= seconds(10)), "{nodes} nodes, seed {seed}: healed after {took:?}");
            cluster.run_for(seconds(20));
            assert!(cluster.agree(), "it stays healed");
        }
    }
}

#[test]
fn a_restart_at_a_new_address_takes_the_place_of_the_old() {
    for seed in 0..4 {
        let (mut cluster, _) = cluster(5, Settings::new(seed));
        let before = cluster.members(0).get(id(4)).cloned().unwrap();
        cluster.crash(4);
        cluster.run_for(Duration::from_millis(500));
        cluster.start_at(4, 9, 0);
        let moved = |cluster: &Simulation| {
            (0..4).all(|node| cluster.members(node).get(id(4)).is_some_and(|now| now.gossip != before.gossip))
        };
        let took = cluster.run_until(seconds(30), moved);
        assert!(took.is_some_and(|took| took < seconds(3)), "seed {seed}: {took:?}");
        assert!(cluster.members(0).get(id(4)).unwrap().incarnation > before.incarnation);
        cluster.run_for(seconds(10));
        assert!(cluster.agree());
    }
}

#[test]
fn a_restart_whose_clock_was_put_back_is_let_in() {
    // By an hour, and so that it shows the very time of the first start.
    for (nth, late) in [(0, Some(3_600_000)), (9, Some(3_600_000)), (0, None), (9, None)] {
        let (mut cluster, _) = cluster(4, Settings::new(5));
        let before = cluster.members(0).get(id(3)).cloned().unwrap();
        cluster.crash(3);
        cluster.run_for(Duration::from_millis(100));
        let late = late.unwrap_or_else(|| cluster.elapsed().as_millis() as i64);
        cluster.start_at(3, nth, -late);
        let back = |cluster: &Simulation| {
            let there = |node| cluster.members(node).get(id(3)).is_some_and(|now| now.incarnation > before.incarnation);
            (0..3).all(there) && cluster.agree()
        };
        let took = cluster.run_until(seconds(30), back);
        assert!(took.is_some_and(|took| took < seconds(8)), "address {nth}, {late} ms back: {took:?}");
    }
}

#[test]
fn of_two_nodes_with_one_name_the_later_is_the_member() {
    let (mut cluster, _) = cluster(4, Settings::new(6));
    cluster.run_for(seconds(30));
    // A fifth place, by the name of the fourth: what is written at place 3 moves there, and the old one goes on elsewhere.
    let old = cluster.fork(3);
    cluster.start_at(3, 9, 0);
    assert!(cluster.run_until(seconds(20), |cluster| cluster.is_replaced(old)).is_some());
    cluster.run_for(seconds(5));
    assert!(!cluster.is_replaced(3));
    assert!((0..4).all(|node| cluster.members(node).len() == 4), "the name is one member");
    assert!(!cluster.members(old).contains(id(3)), "who was replaced does not own anything any more");
}

#[test]
fn states_travel() {
    let (mut cluster, _) = cluster(10, Settings::new(7));
    let seen = |state| {
        move |cluster: &Simulation| {
            (0..10).all(|node| cluster.members(node).get(id(2)).is_some_and(|member| member.state == state))
        }
    };
    assert!(cluster.run_until(seconds(1), seen(MemberState::Active)).is_some());
    cluster.set_state(2, MemberState::Draining);
    let took = cluster.run_until(seconds(10), seen(MemberState::Draining));
    assert!(took.is_some_and(|took| took <= seconds(2)), "{took:?}");
    assert!((0..10).all(|node| cluster.stats(node).lost == 0), "nobody took it for dead meanwhile");
    cluster.run_for(seconds(10));
    assert!(cluster.agree());
}

#[test]
fn a_paused_node_knows_that_it_was_away_and_blames_nobody() {
    for seed in 0..4 {
        let (mut cluster, _) = cluster(5, Settings::new(seed));
        cluster.run_for(seconds(5));
        assert!(cluster.out_of_touch(1).unwrap() < seconds(3));
        cluster.pause(1);
        assert!(cluster.run_until(seconds(30), |cluster| cluster.all_see(1, false)).is_some());
        cluster.run_for(seconds(5));
        let lost = cluster.stats(1).lost;
        cluster.resume(1);
        // Everything in its socket is old: none of it says that somebody heard this node lately.
        assert!(cluster.out_of_touch(1).unwrap() > seconds(5), "{:?}", cluster.out_of_touch(1));
        let took = cluster.run_until(seconds(30), Simulation::agree);
        assert!(took.is_some_and(|took| took <= seconds(10)), "seed {seed}: {took:?}");
        assert_eq!((cluster.stats(1).lost - lost, cluster.stats(1).pauses), (0, 1));
        assert!(cluster.stats(1).rejoined > 0);
        cluster.run_for(seconds(2));
        assert!(cluster.out_of_touch(1).unwrap() < seconds(3));
    }
}

#[test]
fn in_a_large_cluster_a_crash_is_noticed_as_fast() {
    let mut cluster = Simulation::new(300, Settings::new(11).with_loss(0.01));
    cluster.start_all();
    cluster.acquaint();
    cluster.run_for(seconds(1));
    assert!(cluster.agree());
    cluster.crash(100);
    let took = cluster.run_until(seconds(30), |cluster| cluster.all_see(100, false));
    assert!(took.is_some_and(|took| took < seconds(10)), "{took:?}");
    assert!((0..300).all(|node| cluster.stats(node).rejoined == 0), "nobody else was taken for dead");
}

#[test]
fn who_is_cut_off_knows_it() {
    let (mut cluster, _) = cluster(5, Settings::new(8));
    cluster.put_on_side(0, 1);
    cluster.run_for(seconds(4));
    assert!(cluster.out_of_touch(0).unwrap() >= seconds(3));
    assert!(cluster.out_of_touch(1).unwrap() < seconds(3));
}

#[test]
fn what_a_node_sends_does_not_grow_with_the_cluster() {
    let rate = |nodes| {
        let (mut cluster, _) = cluster(nodes, Settings::new(9));
        cluster.run_for(seconds(40));
        let before = cluster.bytes_sent();
        cluster.run_for(seconds(30));
        (cluster.bytes_sent() - before) as f64 / 30.0 / nodes as f64
    };
    let (small, large) = (rate(5), rate(100));
    assert!(small < 2000.0, "{small} bytes a second and node");
    assert!(large < small * 1.5, "{small} bytes a second and node among 5, {large} among 100");
}

#[test]
fn events_that_come_together_are_one_change() {
    let (mut cluster, _) = cluster(20, Settings::new(10));
    let before = cluster.told(0);
    (10..20).for_each(|node| cluster.leave(node));
    cluster.run_for(seconds(3));
    assert_eq!(cluster.members(0).len(), 10);
    assert!(cluster.told(0) - before <= 5, "{} changes", cluster.told(0) - before);
}

/// How many bytes a node sends in a second, while nothing happens.
fn rate(cluster: &mut Simulation, nodes: usize) -> f64 {
    cluster.run_for(seconds(15));
    let before = cluster.bytes_sent();
    cluster.run_for(seconds(10));
    (cluster.bytes_sent() - before) as f64 / 10.0 / nodes as f64
}

#[test]
fn a_crash_among_many_is_noticed_and_what_a_node_sends_does_not_grow_with_their_number() {
    let [few, many] = [20, 200].map(|nodes| {
        let mut cluster = Simulation::new(nodes, Settings::new(1).with_loss(0.01));
        cluster.start_all();
        cluster.acquaint();
        assert!(cluster.run_until(seconds(20), Simulation::agree).is_some(), "{nodes} nodes");
        let rate = rate(&mut cluster, nodes);
        cluster.crash(nodes / 2);
        let took = cluster.run_until(seconds(30), |cluster| cluster.all_see(nodes / 2, false));
        assert!(took.is_some_and(|took| took < seconds(10)), "{nodes} nodes: {took:?}");
        rate
    });
    // Of 1,000, the bench says so.
    assert!(many < 1.5 * few, "of 20 and 200 nodes, bytes a second of each: {few} and {many}");
}
