//! Nodes that answer, and nodes that ask.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use memstache_core::{BoxFuture, Clock, Error, ErrorKind, Result, SystemClock, Tick};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    member::{Incarnation, Member, NodeId, NodeName},
    net::{SimNetwork, Transport},
    peer::{Local, PeerConfig, Peers, Server},
    wire::{Answer, Call, CallContext, Calls, Handler, PeerInfo},
};

pub(super) const SECRET: &str = "a secret of all nodes of the shop";

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn ip(n: u8) -> IpAddr {
    [10, 0, 0, n].into()
}

pub(super) fn at(n: u8) -> SocketAddr {
    (ip(n), 3320).into()
}

pub(super) fn now() -> Tick {
    SystemClock::new().now()
}

pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

pub(super) fn member(n: u8) -> Member {
    let name: NodeName = format!("node-{n}").parse().unwrap();
    Member::new(name, at(n)).with_incarnation(Incarnation(1))
}

pub(super) fn local(n: u8) -> Local {
    Local::new("shop", member(n).id, Incarnation(1)).unwrap().with_secrets(&[SECRET]).unwrap()
}

/// Answers a gossip with itself. The first byte may ask for something else:
/// `w` waits until it is let go, `p` panics, `P` panics before it is polled, `s` sleeps for a second,
/// `b` answers with 8 MiB, `B` with more than a frame, `f` fails.
#[derive(Default)]
pub(super) struct Echo {
    pub(super) go: Notify,
    pub(super) seen: Mutex<Vec<(NodeId, CallContext)>>,
    pub(super) under_way: Arc<AtomicUsize>,
    pub(super) ended: AtomicUsize,
}

/// Counts for as long as it lives.
pub(super) struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

pub(super) struct EchoHandler(pub(super) Arc<Echo>);

impl Handler for EchoHandler {
    fn handle(&self, from: &Arc<PeerInfo>, call: Call, context: CallContext) -> BoxFuture<'static, Answer> {
        let echo = Arc::clone(&self.0);
        {
            let mut seen = echo.seen.lock();
            if seen.len() < 1000 {
                seen.push((from.id, context));
            }
        }
        let Call::Gossip(bytes) = call else { return Box::pin(async { Answer::Done }) };
        assert!(bytes.first() != Some(&b'P'), "asked to");
        echo.under_way.fetch_add(1, SeqCst);
        let count = Count(Arc::clone(&echo.under_way));
        Box::pin(async move {
            match bytes.first() {
                Some(b'w') => echo.go.notified().await,
                Some(b's') => SystemClock::new().sleep_until(now().after(ms(1000))).await,
                Some(b'p') => panic!("asked to"),
                Some(b'b') => return Answer::Gossip(Bytes::from(vec![b'b'; 8 << 20])),
                Some(b'B') => return Answer::Gossip(Bytes::from(vec![b'b'; 16 << 20])),
                Some(b'f') => return Answer::Failed(Error::new(ErrorKind::NotFound, "no such key")),
                _ => {}
            }
            echo.ended.fetch_add(1, SeqCst);
            drop(count);
            Answer::Gossip(bytes)
        })
    }
}

/// A node that answers.
pub(super) struct Node {
    pub(super) echo: Arc<Echo>,
    pub(super) server: Server,
}

pub(super) async fn serve(transport: &dyn Transport, bind: SocketAddr, local: Local, config: PeerConfig) -> Node {
    let echo = Arc::new(Echo::default());
    let listener = transport.bind(bind).await.unwrap();
    let handler = Arc::new(EchoHandler(Arc::clone(&echo)));
    Node { echo, server: Server::start(listener, local, handler, config, clock()).unwrap() }
}

pub(super) fn peers(transport: impl Transport, local: Local, config: PeerConfig) -> Peers {
    Peers::new(Arc::new(transport), local, config, clock(), Arc::new(|_, _| {})).unwrap()
}

/// Node 2 that answers, and node 1 that asks.
pub(super) async fn pair_with(seed: u64, config: PeerConfig) -> (SimNetwork, Node, Peers) {
    let network = SimNetwork::new(seed);
    let node = serve(&network.host(ip(2)), at(2), local(2), config.clone()).await;
    let peers = peers(network.host(ip(1)), local(1), config);
    (network, node, peers)
}

pub(super) async fn pair(seed: u64) -> (SimNetwork, Node, Peers) {
    pair_with(seed, PeerConfig::default()).await
}

pub(super) fn gossip(bytes: impl Into<Bytes>) -> Call {
    Call::Gossip(bytes.into())
}

pub(super) fn within(span: Duration) -> CallContext {
    CallContext::until(now().after(span))
}

/// Sends bytes and expects them back.
pub(super) async fn echo(peers: &Peers, to: &Member, bytes: impl Into<Bytes>) -> Result<()> {
    let bytes = bytes.into();
    match peers.call(to, gossip(bytes.clone()), within(ms(5000))).await? {
        Answer::Gossip(answer) => {
            assert!(answer == bytes, "an answer of another call");
            Ok(())
        }
        Answer::Failed(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

/// Lets all tasks run until nothing is left to do at this moment.
pub(super) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
