//! What comes from nobody we know, and from a peer that has gone mad.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use bytes::BytesMut;
use memstache_core::ErrorKind;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::kit::*;
use crate::{
    net::{BoxStream, Listener, SimNetwork, Transport},
    peer::{
        PeerConfig, Peers, ServerStats,
        handshake::{Dialler, Limits, Listening},
    },
    wire::{Call, CallContext, Calls, Frame, Header, Kind, MAX_FRAME, Out, Writer, begin, end, next, put_call},
};

async fn dial(network: &SimNetwork) -> BoxStream {
    network.host(ip(7)).connect(at(2), "node-2").await.unwrap()
}

fn frame(kind: Kind, id: u64, body: &[u8]) -> Vec<u8> {
    let mut out = Out::default();
    let mark = begin(&mut out, &Header::new(kind, id));
    out.put(body);
    end(&mut out, mark, MAX_FRAME).unwrap();
    out.to_vec()
}

fn call_frame(id: u64, text: &'static str, span: Option<Duration>) -> Vec<u8> {
    let mut out = Out::default();
    let context = span.map_or_else(CallContext::default, within);
    let mark = begin(&mut out, &Header::of_call(id, &context, now()));
    put_call(&mut Writer::new(&mut out, now()), &gossip(text)).unwrap();
    end(&mut out, mark, MAX_FRAME).unwrap();
    out.to_vec()
}

async fn read_frame(stream: &mut BoxStream, buffer: &mut BytesMut) -> Option<Frame> {
    loop {
        if let Some(frame) = next(buffer, MAX_FRAME).unwrap() {
            return Some(frame);
        }
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// A connection that went through the handshake, as node 7.
async fn admitted(network: &SimNetwork) -> (BoxStream, BytesMut) {
    let (mut stream, mut buffer, local) = (dial(network).await, BytesMut::new(), local(7));
    let dialler = Dialler::new(&local, member(2).id, [3; 32]);
    stream.write_all(&frame(Kind::Hello, 0, dialler.hello())).await.unwrap();
    let welcome = read_frame(&mut stream, &mut buffer).await.unwrap();
    let (_, proof) = dialler.welcomed(&welcome).unwrap();
    stream.write_all(&frame(Kind::Proof, 0, &proof)).await.unwrap();
    Dialler::admitted(&read_frame(&mut stream, &mut buffer).await.unwrap()).unwrap();
    (stream, buffer)
}

async fn is_closed(stream: &mut BoxStream) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(ms(100), stream.read_to_end(&mut rest)).await.is_ok()
}

/// Another peer's connection is not harmed by any of it.
async fn others_live(peers: &Peers, stats: impl Fn() -> ServerStats) {
    echo(peers, &member(2), "x").await.unwrap();
    assert_eq!(peers.health(member(2).id).unwrap().connects, 1);
    settle().await;
    assert_eq!(stats().open, 1);
}

#[tokio::test(start_paused = true)]
async fn sixty_four_megabytes_of_garbage() {
    let (network, node, peers) = pair(1).await;
    echo(&peers, &member(2), "x").await.unwrap();
    let chunk: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(64 << 10).collect();
    let mut sent = 0;
    while sent < 64 << 20 {
        let mut stream = dial(&network).await;
        sent += chunk.len();
        // Nobody reads it beyond the first bytes.
        let _ = stream.write_all(&chunk).await;
        assert!(is_closed(&mut stream).await);
    }
    let stats = node.server.stats();
    assert_eq!((stats.handshakes_failed, stats.bad_frames), (1024, 0));
    others_live(&peers, || node.server.stats()).await;
}

#[tokio::test(start_paused = true)]
async fn other_protocols() {
    let (network, node, peers) = pair(2).await;
    echo(&peers, &member(2), "x").await.unwrap();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01", &[0; 64], &[0xff; 64]] {
        let mut stream = dial(&network).await;
        stream.write_all(bytes).await.unwrap();
        assert!(is_closed(&mut stream).await, "{bytes:?}");
    }
    assert_eq!(node.server.stats().handshakes_failed, 4);
    // A handshake that claims to be long is not waited for.
    let mut stream = dial(&network).await;
    stream.write_all(&[0, 0, 5, 0, 0, 16]).await.unwrap();
    assert!(is_closed(&mut stream).await);
    // Something else than a Hello is told so.
    let mut stream = dial(&network).await;
    stream.write_all(&frame(Kind::Proof, 0, &[0; 32])).await.unwrap();
    let told = read_frame(&mut stream, &mut BytesMut::new()).await.unwrap();
    assert_eq!(told.header.kind, Kind::Refused);
    others_live(&peers, || node.server.stats()).await;
}

#[tokio::test(start_paused = true)]
async fn half_open_connections_end_and_keep_nobody_out() {
    let (network, node, peers) = pair(3).await;
    let silent: Vec<_> = futures_util::future::join_all((0..300).map(|_| dial(&network))).await;
    settle().await;
    assert_eq!(node.server.stats().handshakes_evicted, 300 - 128);
    echo(&peers, &member(2), "x").await.expect("in between");
    tokio::time::sleep(ms(5100)).await;
    let stats = node.server.stats();
    assert_eq!((stats.handshakes_late, stats.handshakes_evicted), (127, 300 + 1 - 128));
    drop(silent);
    others_live(&peers, || node.server.stats()).await;
}

#[tokio::test(start_paused = true)]
async fn slow_loris_in_the_handshake_and_after_it() {
    let (network, node, peers) = pair(4).await;
    echo(&peers, &member(2), "x").await.unwrap();
    let local = local(7);
    let hello = frame(Kind::Hello, 0, Dialler::new(&local, member(2).id, [3; 32]).hello());
    let mut stream = dial(&network).await;
    let mut sent = 0;
    for byte in &hello {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        sent += 1;
        tokio::time::sleep(ms(500)).await;
    }
    assert!((9..=12).contains(&sent), "{sent} bytes in 5 s");
    assert_eq!(node.server.stats().handshakes_late, 1);

    let (mut stream, _) = admitted(&network).await;
    let whole = call_frame(1, "a call that takes its time", None);
    let start = now();
    for byte in whole.iter().cycle() {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(ms(400)).await;
    }
    let took = now().since(start);
    assert!(took >= ms(10_000) && took <= ms(16_000), "{took:?}");
    assert_eq!(node.server.stats().slow, 1);
    others_live(&peers, || node.server.stats()).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_waited_for_only_so_long() {
    let (network, node, peers) = pair(5).await;
    echo(&peers, &member(2), "x").await.unwrap();
    let (mut stream, _) = admitted(&network).await;
    // Each asks for 8 MiB: 64 MiB may wait to be written, and one more.
    for id in 0..100 {
        stream.write_all(&call_frame(id, "b", None)).await.unwrap();
    }
    settle().await;
    let calls = node.server.stats().calls;
    assert!(calls <= 10, "{calls} calls answered to nobody");
    tokio::time::sleep(ms(16_000)).await;
    assert_eq!(node.server.stats().slow, 1);
    others_live(&peers, || node.server.stats()).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_too_much_waits() {
    let config = PeerConfig { max_in_flight: 16, ..PeerConfig::default() };
    let (network, node, _) = pair_with(6, config).await;
    let (mut stream, mut buffer) = admitted(&network).await;
    for id in 0..100 {
        stream.write_all(&call_frame(id, "w", None)).await.unwrap();
    }
    settle().await;
    assert_eq!((node.server.stats().calls, node.echo.under_way.load(SeqCst)), (16, 16));
    for _ in 0..20 {
        node.echo.go.notify_waiters();
        settle().await;
    }
    for _ in 0..100 {
        assert_eq!(read_frame(&mut stream, &mut buffer).await.unwrap().header.kind, Kind::Answer);
    }
    assert_eq!(node.server.stats().calls, 100);
}

#[tokio::test(start_paused = true)]
async fn bad_frames_close_their_connection_only() {
    let (network, node, peers) = pair(7).await;
    echo(&peers, &member(2), "x").await.unwrap();
    let twice = [call_frame(1, "w", None), call_frame(1, "w", None)].concat();
    let pings: Vec<u8> = (0..101).flat_map(|id| frame(Kind::Ping, id, &[])).collect();
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("a frame over the cap", vec![0x01, 0, 0, 1, 1, 1]),
        ("a frame that is too short", vec![0, 0, 0, 5, 1]),
        ("another version", vec![0, 0, 0, 40, 2, 1]),
        (
            "an unknown kind",
            frame(Kind::Call, 1, &[]).into_iter().enumerate().map(|(n, b)| if n == 5 { 9 } else { b }).collect(),
        ),
        ("a call that is none", frame(Kind::Call, 1, &[99])),
        ("a call cut short", frame(Kind::Call, 1, &[1, 200, b'k'])),
        ("an empty call", frame(Kind::Call, 1, &[])),
        ("an answer to nobody", frame(Kind::Answer, 1, &[0])),
        ("a pong to nobody", frame(Kind::Pong, 1, &[])),
        ("a second handshake", frame(Kind::Hello, 0, &[1; 80])),
        ("an id used twice", twice),
        ("a flood of pings", pings),
    ];
    let count = bad.len() as u64;
    for (what, bytes) in bad {
        let (mut stream, _) = admitted(&network).await;
        stream.write_all(&bytes).await.unwrap();
        assert!(is_closed(&mut stream).await, "{what}");
    }
    assert_eq!(node.server.stats().bad_frames, count);
    assert_eq!(node.echo.under_way.load(SeqCst), 0, "nothing of theirs goes on");
    others_live(&peers, || node.server.stats()).await;
}

#[tokio::test(start_paused = true)]
async fn an_id_may_be_used_again_after_its_answer_and_cancels_of_nothing_are_nothing() {
    let (network, node, _) = pair(8).await;
    let (mut stream, mut buffer) = admitted(&network).await;
    for _ in 0..3 {
        stream.write_all(&call_frame(1, "x", None)).await.unwrap();
        assert_eq!(read_frame(&mut stream, &mut buffer).await.unwrap().header.id, 1);
    }
    for id in 0..1000 {
        stream.write_all(&frame(Kind::Cancel, id, &[])).await.unwrap();
    }
    stream.write_all(&frame(Kind::Ping, 77, &[])).await.unwrap();
    let pong = read_frame(&mut stream, &mut buffer).await.unwrap();
    assert_eq!((pong.header.kind, pong.header.id), (Kind::Pong, 77));
    // Whose deadline is over is not worked on.
    stream.write_all(&call_frame(2, "x", Some(ms(0)))).await.unwrap();
    settle().await;
    assert_eq!((node.server.stats().late, node.echo.ended.load(SeqCst)), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn room_for_a_frame_is_made_as_its_bytes_arrive() {
    let network = SimNetwork::new(9);
    let mut listener = network.host(ip(2)).bind(at(2)).await.unwrap();
    let mut near = dial(&network).await;
    let far = listener.accept().await.unwrap().ready.await.unwrap();
    let mut io = crate::peer::io::Io::new(far, MAX_FRAME);
    // It claims 16 MiB, and sends little of that.
    near.write_all(&[0x00, 0xff, 0xff, 0xfc, 1, 1]).await.unwrap();
    let read = tokio::time::timeout(ms(100), io.receive()).await;
    assert!(read.is_err() && io.room() < 512 << 10, "{}", io.room());
    near.write_all(&[0; 200_000]).await.unwrap();
    let read = tokio::time::timeout(ms(100), io.receive()).await;
    assert!(read.is_err() && io.room() < 1 << 20, "{}", io.room());
}

/// A listener that goes through the handshake and then says this, once something was asked.
async fn liar(listener: &mut Box<dyn Listener>, says: impl Fn(&Frame) -> Vec<u8>) -> BoxStream {
    let (mut stream, mut buffer) = (listener.accept().await.unwrap().ready.await.unwrap(), BytesMut::new());
    let local = local(2);
    let listening = Listening { local: &local, limits: Limits { in_flight: 100, frame: 1 << 20 } };
    let (guest, welcome) = listening.greeted(&read_frame(&mut stream, &mut buffer).await.unwrap(), [4; 32]).unwrap();
    stream.write_all(&frame(Kind::Welcome, 0, &welcome)).await.unwrap();
    guest.proved(&read_frame(&mut stream, &mut buffer).await.unwrap()).unwrap();
    stream.write_all(&frame(Kind::Welcome, 0, &[])).await.unwrap();
    let asked = read_frame(&mut stream, &mut buffer).await.unwrap();
    stream.write_all(&says(&asked)).await.unwrap();
    stream
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_nonsense_is_an_error_and_its_connection_is_closed() {
    let network = SimNetwork::new(10);
    let mut listener = network.host(ip(2)).bind(at(2)).await.unwrap();
    let asked = |frame: &Frame| frame.header.id;
    let lies: Vec<(&str, Box<dyn Fn(&Frame) -> Vec<u8> + Send>)> = vec![
        ("an answer that is none", Box::new(move |f| frame(Kind::Answer, asked(f), &[77]))),
        ("an answer cut short", Box::new(move |f| frame(Kind::Answer, asked(f), &[7, 200]))),
        ("an answer to another call", Box::new(move |f| frame(Kind::Answer, asked(f) + 1, &[0]))),
        ("a call", Box::new(|_| frame(Kind::Call, 1, &[0]))),
        ("garbage", Box::new(|_| vec![0xff; 100])),
        ("a frame that is too long", Box::new(|_| vec![0x7f, 0, 0, 0, 1, 2])),
    ];
    for (what, says) in lies {
        let peers = peers(network.host(ip(1)), local(1), PeerConfig::default());
        let called = tokio::spawn(peers.call(&member(2), Call::Ping, within(ms(5000))));
        let mut stream = liar(&mut listener, says).await;
        let error = called.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error}");
        assert!(is_closed(&mut stream).await, "{what}");
        settle().await;
        assert_eq!(peers.health(member(2).id).unwrap().bad_frames, 1, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_given_twice_closes_the_connection() {
    let network = SimNetwork::new(11);
    let mut listener = network.host(ip(2)).bind(at(2)).await.unwrap();
    let peers = peers(network.host(ip(1)), local(1), PeerConfig::default());
    let called = tokio::spawn(peers.call(&member(2), Call::Ping, within(ms(5000))));
    let twice = |f: &Frame| [frame(Kind::Answer, f.header.id, &[0]), frame(Kind::Answer, f.header.id, &[0])].concat();
    let mut stream = liar(&mut listener, twice).await;
    assert!(called.await.unwrap().is_ok(), "the first one counts");
    assert!(is_closed(&mut stream).await);
    assert_eq!(peers.health(member(2).id).unwrap().bad_frames, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_after_the_handshake_end_in_a_closed_connection_or_in_silence(
        bytes in prop::collection::vec(any::<u8>(), 1..400),
        framed in any::<bool>(),
        kind in 1u8..7,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (network, node, peers) = pair(12).await;
            echo(&peers, &member(2), "x").await.unwrap();
            let (mut stream, _) = admitted(&network).await;
            let mut sent = bytes;
            if framed {
                sent = frame(Kind::Call, 5, &sent);
                sent[5] = kind;
            }
            let _ = stream.write_all(&sent).await;
            settle().await;
            drop(stream);
            settle().await;
            assert_eq!(node.server.stats().panics, 0);
            others_live(&peers, || node.server.stats()).await;
        });
    }
}
