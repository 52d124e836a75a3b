use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use futures_util::future::join_all;
use memstache_core::{
    Address, ErrorKind, KeyspaceName, Lifetime, NewEntry, Request, Scope, Set, Space, resilience::BreakerState,
};

use super::kit::*;
use crate::{
    net::Tcp,
    peer::PeerConfig,
    wire::{Answer, Call, CallContext, Calls, TraceContext},
};

#[tokio::test(start_paused = true)]
async fn calls_are_answered_with_who_asked_and_what_travels_beside() {
    let (_network, node, peers) = pair(1).await;
    let trace = TraceContext { trace_id: 5, span_id: 6, flags: 1 };
    let context = within(ms(700)).at_epoch(9).traced(Some(trace));
    assert!(matches!(peers.call(&member(2), Call::Ping, context).await.unwrap(), Answer::Done));
    let (from, seen) = node.echo.seen.lock()[0];
    assert_eq!(from, member(1).id);
    assert_eq!((seen.epoch, seen.hop, seen.trace), (9, 0, Some(trace)));
    let left = seen.deadline.unwrap().since(now());
    assert!(left <= ms(700) && left > ms(600), "{left:?}");
    let health = peers.health(member(2).id).unwrap();
    assert!(health.connected && health.calls == 1 && health.connects == 1 && health.breaker == BreakerState::Closed);
    assert_eq!(peers.health(member(3).id), None);
    assert_eq!((node.server.stats().calls, node.server.stats().open), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn many_calls_of_all_lengths_at_once_get_their_own_answers() {
    for connections in [1, 3] {
        let (network, node, peers) = pair_with(2, PeerConfig { connections, ..PeerConfig::default() }).await;
        network.set_delay(ms(0)..=ms(3));
        let lens = [0, 1, 100, 4095, 4096, 5000, 65_535, 70_000, 300_000];
        let calls = (0..300u32).map(|n| {
            let peers = peers.clone();
            async move {
                let mut bytes = vec![b'x'; 1 + lens[n as usize % lens.len()]];
                bytes.extend(n.to_be_bytes());
                if n % 5 == 0 {
                    bytes[0] = b's';
                }
                echo(&peers, &member(2), bytes).await
            }
        });
        assert!(join_all(calls).await.into_iter().all(|result| result.is_ok()));
        assert_eq!(peers.health(member(2).id).unwrap().connects, connections as u64);
        assert_eq!(node.echo.ended.load(SeqCst), 300);
    }
}

#[tokio::test]
async fn over_tcp_too() {
    let config = PeerConfig::default();
    let node = serve(&Tcp::new(), ([127, 0, 0, 1], 0).into(), local(2), config.clone()).await;
    let peers = peers(Tcp::new(), local(1), config);
    let mut to = member(2);
    to.address = node.server.address();
    let calls = (0..200u32).map(|n| echo(&peers, &to, vec![b'x'; 1 + n as usize * 997]));
    assert!(join_all(calls).await.into_iter().all(|result| result.is_ok()));
    for n in 0..200u32 {
        echo(&peers, &to, n.to_be_bytes().to_vec()).await.unwrap();
    }
    node.server.stop(now().after(ms(1000))).await;
    assert_eq!(echo(&peers, &to, "x").await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_and_the_connection_lives() {
    let (_network, node, peers) = pair(3).await;
    let start = now();
    let error = peers.call(&member(2), gossip("w"), within(ms(300))).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true));
    assert_eq!(now().since(start), ms(300));
    settle().await;
    assert_eq!(node.echo.under_way.load(SeqCst), 0, "the peer has given up too");
    let write = Call::TakeOver { epoch: 1, splits: 0 };
    assert!(peers.call(&member(2), write, within(ms(300))).await.is_ok());
    echo(&peers, &member(2), "x").await.unwrap();
    let health = peers.health(member(2).id).unwrap();
    assert_eq!((health.connects, health.failures, health.in_flight), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_is_unknown() {
    let (network, _node, peers) = pair(4).await;
    echo(&peers, &member(2), "x").await.unwrap();
    network.cut_both(ip(1), ip(2));
    let space = Space::new(None, &KeyspaceName::new("k").unwrap());
    let set = Set::one(Address::plain(&space, "7").unwrap(), NewEntry::new("v", Lifetime::UNLIMITED));
    let request = Request::Set(Set { scope: Scope::default(), ..set });
    let call = Call::Run { keyspace: KeyspaceName::new("k").unwrap(), request };
    let error = peers.call(&member(2), call, within(ms(300))).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_effect()), (ErrorKind::Unknown, true));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_cancelled_at_the_other_end() {
    let (_network, node, peers) = pair(5).await;
    echo(&peers, &member(2), "x").await.unwrap();
    for _ in 0..3000 {
        let mut call = Box::pin(peers.call(&member(2), gossip("w"), within(ms(60_000))));
        assert!(futures_util::future::poll_immediate(&mut call).await.is_none());
        drop(call);
    }
    for _ in 0..10 {
        settle().await;
    }
    assert_eq!(node.echo.under_way.load(SeqCst), 0);
    let call = peers.call(&member(2), gossip("w"), within(ms(60_000)));
    let task = tokio::spawn(call);
    settle().await;
    assert_eq!(node.echo.under_way.load(SeqCst), 1);
    task.abort();
    settle().await;
    assert_eq!(node.echo.under_way.load(SeqCst), 0);
    assert!(node.server.stats().cancelled >= 1);
    assert_eq!(peers.health(member(2).id).unwrap().in_flight, 0);
    echo(&peers, &member(2), "x").await.unwrap();
    assert_eq!(peers.health(member(2).id).unwrap().connects, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_connecting_harms_no_other() {
    let (network, _node, peers) = pair(6).await;
    network.set_delay(ms(100)..=ms(100));
    let (first, second) = (tokio::spawn(peers.call(&member(2), gossip("x"), within(ms(9000)))), peers.clone());
    let second = tokio::spawn(async move { echo(&second, &member(2), "y").await });
    settle().await;
    first.abort();
    second.await.unwrap().unwrap();
    assert_eq!(peers.health(member(2).id).unwrap().connects, 1);
}

#[tokio::test(start_paused = true)]
async fn panics_and_failures_are_answers() {
    let (_network, node, peers) = pair(7).await;
    for text in ["p", "P"] {
        let error = echo(&peers, &member(2), text).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unknown, false));
    }
    assert_eq!(node.server.stats().panics, 2);
    let error = echo(&peers, &member(2), "f").await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::NotFound, "no such key"));
    let health = peers.health(member(2).id).unwrap();
    assert_eq!((health.connects, health.failures), (1, 0), "it did answer");
}

#[tokio::test(start_paused = true)]
async fn large_values_fit_or_are_refused_by_name() {
    let (_network, _node, peers) = pair(8).await;
    echo(&peers, &member(2), vec![b'x'; 15 << 20]).await.unwrap();
    let error = echo(&peers, &member(2), vec![b'x'; 16 << 20]).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_effect()), (ErrorKind::TooLarge, false));
    assert_eq!(error.to_string(), "a call and its values must fit a frame of 16777216 bytes");
    let answer = peers.call(&member(2), gossip("b"), within(ms(5000))).await.unwrap();
    assert!(matches!(answer, Answer::Gossip(bytes) if bytes.len() == 8 << 20));
    let error = echo(&peers, &member(2), "B").await.unwrap_err();
    assert_eq!(error.to_string(), "the answer does not fit a frame of 16777216 bytes");
    echo(&peers, &member(2), "x").await.unwrap();
    assert_eq!(peers.health(member(2).id).unwrap().connects, 1, "none of it cost the connection");
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_may_be_under_way_are_refused() {
    let (_network, node, peers) = pair_with(9, PeerConfig { max_in_flight: 10, ..PeerConfig::default() }).await;
    echo(&peers, &member(2), "x").await.unwrap();
    let waiting: Vec<_> =
        (0..10).map(|_| tokio::spawn(peers.call(&member(2), gossip("w"), within(ms(60_000))))).collect();
    settle().await;
    let error = echo(&peers, &member(2), "x").await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_effect()), (ErrorKind::Overloaded, false));
    node.echo.go.notify_waiters();
    for task in waiting {
        assert!(task.await.unwrap().is_ok());
    }
    echo(&peers, &member(2), "x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_ends_when_the_peer_has_had_enough() {
    let (_network, node, peers) = pair(10).await;
    let call = tokio::spawn(peers.call(&member(2), gossip("w"), CallContext::default()));
    tokio::time::sleep(ms(61_000)).await;
    assert_eq!(node.echo.under_way.load(SeqCst), 0);
    assert_eq!(node.server.stats().late, 1);
    call.abort();
    let value = Bytes::from_static(b"x");
    echo(&peers, &member(2), value).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn callers_in_a_hurry_and_slow_answers_say_nothing_about_a_peer() {
    let (_network, _node, peers) = pair(11).await;
    for _ in 0..60 {
        let late = peers.call(&member(2), gossip("w"), within(ms(5))).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Timeout);
    }
    assert_eq!(peers.health(member(2).id).unwrap().breaker, BreakerState::Closed);
    echo(&peers, &member(2), "x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_closed_makes_no_new_connections() {
    let (network, node, peers) = pair(12).await;
    echo(&peers, &member(2), "x").await.unwrap();
    peers.close();
    for _ in 0..2 {
        let refused = echo(&peers, &member(2), "x").await.unwrap_err();
        assert_eq!((refused.kind(), refused.may_have_effect()), (ErrorKind::Unavailable, false));
    }
    settle().await;
    tokio::time::sleep(ms(100)).await;
    assert_eq!((node.server.stats().accepted, node.server.stats().open), (1, 0));
    drop(network);
}
