use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::BytesMut;
use memstache_core::{Clock, SystemClock};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;
use crate::net::{BoxStream, Datagrams, Listener, MAX_DATAGRAM, Transport};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn ip(n: u8) -> IpAddr {
    [10, 0, 0, n].into()
}

fn port(n: u8) -> SocketAddr {
    (ip(n), 3320).into()
}

async fn pair(network: &SimNetwork) -> (BoxStream, BoxStream, Box<dyn Listener>) {
    let mut listener = network.host(ip(2)).bind(port(2)).await.unwrap();
    let near = network.host(ip(1)).connect(port(2), "b").await.unwrap();
    let far = listener.accept().await.unwrap();
    assert_eq!(far.remote.ip(), ip(1));
    (near, far.ready.await.unwrap(), listener)
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_late_and_in_order_with_back_pressure() {
    let network = SimNetwork::new(1);
    network.set_delay(ms(5)..=ms(50));
    let (mut near, mut far, _listener) = pair(&network).await;
    let sent: Vec<u8> = (0..1_000_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let start = SystemClock::new().now();
    let writer = tokio::spawn({
        let sent = sent.clone();
        async move {
            near.write_all(&sent).await.unwrap();
            near.shutdown().await.unwrap();
            near
        }
    });
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert!(got == sent);
    assert!(SystemClock::new().now().since(start) >= ms(15), "4 buffers, each at least 5 ms under way");
    let mut near = writer.await.unwrap();
    drop(far);
    assert_eq!(near.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    drop(near);
    assert!(network.state.lock().pipes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cut_way_stands_still_and_goes_on_when_mended() {
    let network = SimNetwork::new(2);
    let (mut near, mut far, _listener) = pair(&network).await;
    network.cut(ip(1), ip(2));
    near.write_all(b"there").await.unwrap();
    far.write_all(b"back").await.unwrap();
    let mut text = [0; 4];
    near.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"back", "the other way is whole");
    assert!(timeout(ms(60_000), far.read(&mut text)).await.is_err());
    let host = network.host(ip(1));
    assert!(timeout(ms(60_000), host.connect(port(2), "b")).await.is_err(), "no answer");
    let connecting = tokio::spawn(async move { host.connect(port(2), "b").await.map(drop) });
    tokio::task::yield_now().await;
    network.heal(ip(1), ip(2));
    let mut text = [0; 5];
    far.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"there");
    connecting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_swallows_old_connections_only() {
    let network = SimNetwork::new(3);
    let (mut near, mut far, mut listener) = pair(&network).await;
    network.black_hole(ip(1), ip(2));
    near.write_all(b"x").await.unwrap();
    drop(near);
    assert!(timeout(ms(60_000), far.read_u8()).await.is_err(), "neither the byte nor the end");
    let mut near = network.host(ip(1)).connect(port(2), "b").await.unwrap();
    let mut far = listener.accept().await.unwrap().ready.await.unwrap();
    near.write_all(b"y").await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'y');
}

#[tokio::test(start_paused = true)]
async fn resets_and_crashes_are_told_to_the_other_end() {
    let network = SimNetwork::new(4);
    let (mut near, mut far, mut listener) = pair(&network).await;
    network.reset(ip(2), ip(1));
    assert_eq!(near.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(far.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);

    let mut near = network.host(ip(1)).connect(port(2), "b").await.unwrap();
    network.crash(ip(2));
    assert_eq!(near.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(listener.accept().await.is_err());
    let refused = network.host(ip(1)).connect(port(2), "b").await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(network.host(ip(2)).bind(port(2)).await.is_ok(), "it can come back");
}

#[tokio::test(start_paused = true)]
async fn addresses_are_taken_once_and_are_ones_own() {
    let network = SimNetwork::new(5);
    let host = network.host(ip(1));
    let kind = |result: io::Result<Box<dyn Listener>>| result.map(drop).unwrap_err().kind();
    let listener = host.bind(port(1)).await.unwrap();
    assert_eq!(kind(host.bind(port(1)).await), ErrorKind::AddrInUse);
    assert_eq!(kind(host.bind(port(2)).await), ErrorKind::AddrNotAvailable);
    drop(listener);
    let any = host.bind(([0, 0, 0, 0], 0).into()).await.unwrap().local_addr().unwrap();
    assert!(any.ip() == ip(1) && any.port() != 0);
    let socket = host.datagrams(3322).unwrap();
    assert_eq!(host.datagrams(3322).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(socket);
    assert!(host.datagrams(3322).is_ok());
}

/// What arrives of a hundred datagrams, in order.
async fn hundred(seed: u64, change: impl Fn(&SimNetwork)) -> Vec<u8> {
    let network = SimNetwork::new(seed);
    change(&network);
    let (a, b) = (network.host(ip(1)).datagrams(1).unwrap(), network.host(ip(2)).datagrams(2).unwrap());
    for n in 0..100 {
        a.send_to(&[n; 10], b.local_addr().unwrap()).await.unwrap();
    }
    let sent = network.sent(ip(1));
    assert_eq!((sent.datagrams, sent.datagram_bytes), (100, 1000));
    let (mut got, mut buffer) = (Vec::new(), BytesMut::new());
    while let Ok(from) = timeout(ms(1000), b.recv_from(&mut buffer)).await {
        assert_eq!((from.unwrap(), buffer.len()), ((ip(1), 1).into(), 10));
        got.push(buffer[0]);
    }
    got
}

#[tokio::test(start_paused = true)]
async fn datagrams_are_lost_doubled_and_mixed_by_the_seed() {
    assert_eq!(hundred(1, |_| ()).await, (0..100).collect::<Vec<_>>());
    let rough = |network: &SimNetwork| {
        network.set_delay(ms(0)..=ms(20));
        network.set_loss(0.2);
        network.set_doubled(0.1);
    };
    let got = hundred(1, rough).await;
    assert_eq!(got, hundred(1, rough).await, "the same each time");
    assert_ne!(got, hundred(2, rough).await);
    assert!(!got.is_sorted());
    let mut unique = got.clone();
    unique.sort_unstable();
    unique.dedup();
    assert!(unique.len() < 95 && unique.len() > 60 && got.len() > unique.len());
    assert!(hundred(1, |network| network.cut(ip(1), ip(2))).await.is_empty());
    assert_eq!(hundred(1, |network| network.cut(ip(2), ip(1))).await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn datagrams_to_nobody_and_of_any_length() {
    let network = SimNetwork::new(6);
    let a = network.host(ip(1)).datagrams(1).unwrap();
    a.send_to(b"x", (ip(9), 1).into()).await.unwrap();
    assert!(a.send_to(&vec![0; MAX_DATAGRAM + 1], (ip(9), 1).into()).await.is_err());
    let mut buffer = BytesMut::new();
    let waiting = tokio::spawn(async move { a.recv_from(&mut buffer).await });
    tokio::task::yield_now().await;
    network.crash(ip(1));
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
}

#[tokio::test(start_paused = true)]
async fn an_isolated_host_hears_nobody() {
    let network = SimNetwork::new(7);
    let (near, _far, _listener) = pair(&network).await;
    network.isolate(ip(1));
    assert!(timeout(ms(1000), network.host(ip(1)).connect(port(2), "b")).await.is_err());
    network.heal_all();
    assert!(network.host(ip(1)).connect(port(2), "b").await.is_ok());
    drop(near);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_crashed_host_reaches_nobody_and_takes_nothing_from_the_next_one() {
    let network = SimNetwork::new(8);
    let (living, dead) = (network.host(ip(1)), network.host(ip(2)));
    let listener = living.bind(port(1)).await.unwrap();
    let (inbox, outbox) = (living.datagrams(1).unwrap(), dead.datagrams(1).unwrap());
    let zombie = dead.bind(port(2)).await.unwrap();
    network.crash(ip(2));
    let at = (ip(1), 1).into();
    assert_eq!(outbox.send_to(b"x", at).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(dead.connect(port(1), "a").await.map(drop).unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(dead.bind(port(2)).await.map(drop).unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(dead.datagrams(2).map(drop).unwrap_err().kind(), ErrorKind::NotConnected);

    let next = network.host(ip(2));
    let (mut again, again_out) = (next.bind(port(2)).await.unwrap(), next.datagrams(1).unwrap());
    assert_eq!(outbox.send_to(b"x", at).await.unwrap_err().kind(), ErrorKind::NotConnected);
    drop((zombie, outbox));
    again_out.send_to(b"y", at).await.unwrap();
    let mut buffer = BytesMut::new();
    assert_eq!(inbox.recv_from(&mut buffer).await.unwrap().ip(), ip(2));
    assert_eq!(&buffer[..], b"y");
    inbox.send_to(b"z", again_out.local_addr().unwrap()).await.unwrap();
    again_out.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..], b"z");
    let _near = living.connect(port(2), "b").await.unwrap();
    assert_eq!(again.accept().await.unwrap().remote.ip(), ip(1));
    drop(listener);
}
