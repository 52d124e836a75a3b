use std::sync::atomic::Ordering::SeqCst;

use memstache_core::{ErrorKind, resilience::BreakerState};

use super::kit::*;
use crate::{
    member::{Incarnation, Protocols},
    peer::{Local, PeerConfig, Peers, Refusal},
    wire::{Answer, Call, Calls},
};

#[tokio::test(start_paused = true)]
async fn a_reset_connection_is_made_anew() {
    let (network, node, peers) = pair(1).await;
    echo(&peers, &member(2), "x").await.unwrap();
    let waiting = tokio::spawn(peers.call(&member(2), gossip("w"), within(ms(5000))));
    settle().await;
    network.reset(ip(1), ip(2));
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    settle().await;
    assert_eq!(node.echo.under_way.load(SeqCst), 0);
    echo(&peers, &member(2), "x").await.unwrap();
    assert_eq!(peers.health(member(2).id).unwrap().connects, 2);
    settle().await;
    assert_eq!(node.server.stats().open, 1);
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_is_found_and_replaced() {
    let (network, node, peers) = pair(2).await;
    echo(&peers, &member(2), "x").await.unwrap();
    network.black_hole(ip(1), ip(2));
    let start = now();
    let error = peers.call(&member(2), gossip("x"), within(ms(60_000))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let took = now().since(start);
    assert!(took <= ms(2100), "a ping after a second, given up after another: {took:?}");
    settle().await;
    echo(&peers, &member(2), "x").await.expect("over a new connection");
    let health = peers.health(member(2).id).unwrap();
    assert_eq!((health.connects, health.silences), (2, 1));
    // The old one is found by the peer too.
    tokio::time::sleep(ms(90_000)).await;
    echo(&peers, &member(2), "x").await.unwrap();
    assert_eq!((node.server.stats().open, node.server.stats().idle), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_idle_black_hole_is_found_before_a_call() {
    let (network, _node, peers) = pair(3).await;
    echo(&peers, &member(2), "x").await.unwrap();
    network.black_hole(ip(1), ip(2));
    tokio::time::sleep(ms(7000)).await;
    let start = now();
    echo(&peers, &member(2), "x").await.unwrap();
    assert_eq!(now().since(start), ms(0));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_costs_a_timeout_once_and_then_nothing() {
    let (network, _node, peers) = pair(4).await;
    echo(&peers, &member(2), "x").await.unwrap();
    network.cut_both(ip(1), ip(2));
    let error = echo(&peers, &member(2), "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    settle().await;
    for _ in 0..100 {
        let start = now();
        let error = echo(&peers, &member(2), "x").await.unwrap_err();
        assert_eq!((error.kind(), error.may_have_effect()), (ErrorKind::Unavailable, false));
        assert_eq!(now().since(start), ms(0), "at once");
        tokio::time::sleep(ms(100)).await;
    }
    assert_eq!(peers.health(member(2).id).unwrap().breaker, BreakerState::Open);
    network.heal_all();
    let healed = now();
    while echo(&peers, &member(2), "x").await.is_err() {
        tokio::time::sleep(ms(20)).await;
    }
    assert!(now().since(healed) <= ms(4000), "{:?}", now().since(healed));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_there_is_tried_ever_less_often() {
    let (network, _node, peers) = pair(5).await;
    let start = now();
    let error = echo(&peers, &member(3), "x").await.unwrap_err();
    assert_eq!((error.kind(), now().since(start)), (ErrorKind::Unavailable, ms(0)));
    for _ in 0..200 {
        assert!(echo(&peers, &member(3), "x").await.is_err());
        tokio::time::sleep(ms(25)).await;
    }
    let failures = peers.health(member(3).id).unwrap().connect_failures;
    assert!((5..=16).contains(&failures), "{failures} in 5 s");
    let _node = serve(&network.host(ip(3)), at(3), local(3), PeerConfig::default()).await;
    tokio::time::sleep(ms(1100)).await;
    echo(&peers, &member(3), "x").await.expect("once the pause is over");
}

#[tokio::test(start_paused = true)]
async fn one_that_restarts_is_found_at_the_same_and_at_a_new_address() {
    let (network, node, peers) = pair(6).await;
    echo(&peers, &member(2), "x").await.unwrap();
    drop(node);
    network.crash(ip(2));
    settle().await;
    let again = local(2).with_incarnation(Incarnation(2));
    let node = serve(&network.host(ip(2)), at(2), again, PeerConfig::default()).await;
    let renewed = member(2).with_incarnation(Incarnation(2));
    echo(&peers, &renewed, "x").await.unwrap();
    echo(&peers, &member(2), "x").await.expect("who knows of the earlier life reaches the later one");

    let third = local(2).with_incarnation(Incarnation(3));
    let moved = serve(&network.host(ip(9)), at(9), third, PeerConfig::default()).await;
    let mut to = member(2).with_incarnation(Incarnation(3));
    to.address = at(9);
    echo(&peers, &to, "x").await.unwrap();
    assert_eq!(moved.echo.ended.load(SeqCst), 1);
    echo(&peers, &renewed, "x").await.expect("nobody is led back to the old address");
    assert_eq!(moved.echo.ended.load(SeqCst), 2);
    settle().await;
    assert_eq!(node.server.stats().open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_answers_what_is_under_way() {
    let (_network, node, peers) = pair(7).await;
    let slow = tokio::spawn(peers.call(&member(2), gossip("s"), within(ms(5000))));
    let never = tokio::spawn(peers.call(&member(2), gossip("w"), within(ms(60_000))));
    settle().await;
    let start = now();
    let stop = tokio::spawn(node.server.stop(start.after(ms(3000))));
    settle().await;
    let error = echo(&peers, &member(2), "x").await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_effect()), (ErrorKind::Unavailable, false), "no new ones");
    assert!(matches!(slow.await.unwrap().unwrap(), Answer::Gossip(_)));
    stop.await.unwrap();
    assert_eq!(now().since(start), ms(3000), "the other one had until then");
    assert_eq!(never.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_calls_stops_at_once() {
    let (_network, node, peers) = pair(8).await;
    echo(&peers, &member(2), "x").await.unwrap();
    let start = now();
    node.server.stop(start.after(ms(3000))).await;
    assert_eq!(now().since(start), ms(0));
}

#[tokio::test(start_paused = true)]
async fn peers_that_left_are_let_go() {
    let (_network, node, peers) = pair(9).await;
    let waiting = tokio::spawn(peers.call(&member(2), gossip("w"), within(ms(60_000))));
    settle().await;
    peers.retain(|id| id != member(2).id);
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    settle().await;
    assert_eq!((node.server.stats().open, node.echo.under_way.load(SeqCst)), (0, 0));
    echo(&peers, &member(2), "x").await.expect("if it is called again after all");
    drop(peers);
    settle().await;
    assert_eq!(node.server.stats().open, 0, "nothing outlives the one who called");
}

async fn refused(from: Local, to: u8) -> (Refusal, bool, crate::peer::ServerStats) {
    let (network, node, _) = pair(10).await;
    let peers = peers(network.host(ip(1)), from, PeerConfig::default());
    let mut whom = member(to);
    whom.address = at(2);
    let error = peers.call(&whom, Call::Ping, within(ms(5000))).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_effect()), (ErrorKind::Unavailable, false));
    let refusal = *error.find_source::<Refusal>().expect("a reason");
    assert_eq!(error.to_string(), refusal.to_string());
    settle().await;
    (refusal, error.is_retryable(), node.server.stats())
}

#[tokio::test(start_paused = true)]
async fn strangers_learn_why_and_are_counted() {
    let named = |cluster| Local::new(cluster, member(1).id, Incarnation(1)).unwrap();
    let (refusal, retryable, stats) =
        refused(named("shop").with_secrets(&["another secret, but long"]).unwrap(), 2).await;
    assert_eq!((refusal, retryable, stats.wrong_secret, stats.open), (Refusal::Secret, false, 1, 0));
    let (refusal, _, stats) = refused(named("shop"), 2).await;
    assert_eq!((refusal, stats.wrong_secret), (Refusal::Secret, 1));
    let (refusal, _, stats) = refused(named("mall").with_secrets(&[SECRET]).unwrap(), 2).await;
    assert_eq!((refusal, stats.wrong_cluster), (Refusal::Cluster, 1));
    let (refusal, _, stats) = refused(local(1).with_protocols(Protocols::new(7, 9).unwrap()), 2).await;
    assert_eq!((refusal, stats.wrong_protocol), (Refusal::Protocol, 1));
    let (refusal, _, stats) = refused(local(2), 2).await;
    assert_eq!((refusal, stats.from_self), (Refusal::Yourself, 1));
    let (refusal, retryable, stats) = refused(local(1), 3).await;
    assert_eq!((refusal, retryable, stats.refused_otherwise), (Refusal::Another, true, 1));
}

#[tokio::test(start_paused = true)]
async fn connections_are_limited() {
    let config = PeerConfig { max_connections: 2, ..PeerConfig::default() };
    let (network, node, _) = pair_with(11, config).await;
    let all: Vec<Peers> = [4, 5, 6].map(|n| peers(network.host(ip(n)), local(n), PeerConfig::default())).into();
    echo(&all[0], &member(2), "x").await.unwrap();
    echo(&all[1], &member(2), "x").await.unwrap();
    let error = echo(&all[2], &member(2), "x").await.unwrap_err();
    assert_eq!(error.find_source::<Refusal>(), Some(&Refusal::Busy));
    assert!(error.is_retryable());
    all[0].close();
    tokio::time::sleep(ms(1000)).await;
    echo(&all[2], &member(2), "x").await.unwrap();
    assert_eq!((node.server.stats().open, node.server.stats().refused_otherwise), (2, 1));
}
