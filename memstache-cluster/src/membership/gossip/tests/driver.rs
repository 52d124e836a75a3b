//! Gossip over datagrams, in time that is turned by tokio.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use memstache_core::{Clock as _, Error, ErrorKind, Result, SystemClock};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::{
    member::{Member, MemberState, Members, NodeId},
    membership::{
        Discovery, Membership, SeedStream, StateStream, StaticDiscovery,
        gossip::{Gossip, GossipSecret},
    },
    net::{Datagrams, SimNetwork, Udp},
};

fn at(host: u8) -> SocketAddr {
    ([10, 0, 0, host], 3322).into()
}

fn ip(host: u8) -> IpAddr {
    at(host).ip()
}

fn secret() -> GossipSecret {
    GossipSecret::new([3; 32]).unwrap()
}

fn node(network: &SimNetwork, host: u8, discovery: impl Discovery) -> Gossip {
    let me = Member::at(at(host)).with_state(MemberState::Active);
    let socket = Arc::new(network.host(ip(host)).datagrams(3322).unwrap());
    Gossip::builder("shop", me).secret(secret()).discovery(discovery).start(socket).unwrap()
}

fn seeds() -> StaticDiscovery {
    StaticDiscovery::new([at(1), at(2)])
}

/// Waits until a node's members are so many.
async fn grows_to(gossip: &Gossip, count: usize) -> Members {
    let mut members = gossip.watch();
    let found = timeout(Duration::from_secs(20), members.wait_for(|members| members.len() == count)).await;
    found.expect("in time").expect("the driver runs").clone()
}

#[tokio::test(start_paused = true)]
async fn nodes_find_each_other_leave_and_crash() {
    let network = SimNetwork::new(1);
    network.set_delay(Duration::from_millis(1)..=Duration::from_millis(3));
    let nodes: Vec<_> = (1..=4).map(|host| node(&network, host, seeds())).collect();
    for node in &nodes {
        node.join().await.unwrap();
        assert_eq!(grows_to(node, 4).await.active().count(), 4);
    }
    nodes[0].set_state(MemberState::Draining);
    let drains = |members: &Members| members.get(nodes[0].id()).is_some_and(|it| it.state == MemberState::Draining);
    timeout(Duration::from_secs(2), nodes[3].watch().wait_for(drains)).await.unwrap().unwrap();

    nodes[0].leave().await.unwrap();
    assert!(!grows_to(&nodes[3], 3).await.contains(nodes[0].id()));
    nodes[0].leave().await.unwrap();
    assert!(!nodes[0].join().await.unwrap_err().is_retryable());

    network.crash(ip(2));
    let start = SystemClock::new().now();
    assert!(!grows_to(&nodes[3], 2).await.contains(nodes[1].id()));
    assert!(SystemClock::new().now().since(start) < Duration::from_secs(8));
    assert!(nodes[3].contact().is_some());
    assert_eq!(nodes[3].stats().dropped(), 0, "{:?}", nodes[3].stats());
}

#[tokio::test(start_paused = true)]
async fn one_way_loss_is_not_death() {
    // Others can still hear it: they are asked to try.
    let network = SimNetwork::new(2);
    let nodes: Vec<_> = (1..=4).map(|host| node(&network, host, seeds())).collect();
    for node in &nodes {
        grows_to(node, 4).await;
    }
    network.cut(ip(1), ip(2));
    sleep(Duration::from_secs(20)).await;
    assert!(nodes.iter().all(|node| node.members().len() == 4));
    assert!(nodes.iter().all(|node| node.stats().rejoined == 0));
}

#[tokio::test(start_paused = true)]
async fn who_finds_nobody_says_so_and_goes_on_trying() {
    let network = SimNetwork::new(3);
    let second = node(&network, 2, seeds());
    let error = second.join().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    assert_eq!(second.contact(), None);
    let first = node(&network, 1, StaticDiscovery::new([at(1)]));
    first.join().await.unwrap();
    grows_to(&second, 2).await;
    second.join().await.unwrap();
}

/// Knows addresses when it likes, and remembers who is registered.
#[derive(Debug, Default)]
struct Moody {
    asked: AtomicU32,
    registered: Arc<Mutex<Vec<NodeId>>>,
}

#[async_trait]
impl Discovery for Moody {
    async fn discover(&self) -> Result<Vec<SocketAddr>> {
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            0 => std::future::pending().await,
            1 => Err(Error::new(ErrorKind::Unavailable, "not yet")),
            _ => Ok(vec![at(1)]),
        }
    }

    async fn register(&self, me: &Member) -> Result<()> {
        self.registered.lock().push(me.id);
        Ok(())
    }

    async fn deregister(&self, me: &Member) -> Result<()> {
        self.registered.lock().retain(|id| *id != me.id);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_that_hangs_and_fails_is_asked_again() {
    let network = SimNetwork::new(4);
    let _first = node(&network, 1, StaticDiscovery::default());
    let registered = Arc::default();
    let second = node(&network, 2, Moody { asked: AtomicU32::new(0), registered: Arc::clone(&registered) });
    assert!(second.join().await.is_err());
    assert_eq!(*registered.lock(), [second.id()]);
    grows_to(&second, 2).await;
    second.leave().await.unwrap();
    assert_eq!(*registered.lock(), []);
}

/// Knows everybody at first; then nobody, a part, or nothing at all.
#[derive(Debug, Default)]
struct Failing {
    asked: AtomicU32,
    mood: Arc<AtomicU32>,
    registering: AtomicU32,
    registered: Arc<Mutex<Vec<NodeId>>>,
}

#[async_trait]
impl Discovery for Failing {
    async fn discover(&self) -> Result<Vec<SocketAddr>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.mood.load(Ordering::Relaxed) {
            0 => Ok(vec![at(1), at(2), at(3)]),
            1 => Ok(vec![]),
            2 => Ok(vec![at(9)]),
            3 => Err(Error::new(ErrorKind::Unavailable, "down")),
            _ => std::future::pending().await,
        }
    }

    async fn register(&self, me: &Member) -> Result<()> {
        match self.registering.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::new(ErrorKind::Unavailable, "down")),
            1 => std::future::pending().await,
            _ => {
                self.registered.lock().push(me.id);
                Ok(())
            }
        }
    }

    async fn deregister(&self, me: &Member) -> Result<()> {
        self.registered.lock().retain(|id| *id != me.id);
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_forgets_fails_or_hangs_changes_nothing() {
    let network = SimNetwork::new(10);
    let mood = Arc::new(AtomicU32::new(0));
    let failing = || Failing { mood: Arc::clone(&mood), ..Failing::default() };
    let nodes: Vec<_> = (1..=3).map(|host| node(&network, host, failing())).collect();
    for node in &nodes {
        grows_to(node, 3).await;
    }
    for bad in 1..=4 {
        mood.store(bad, Ordering::Relaxed);
        let mut changes: Vec<_> = nodes.iter().map(|node| node.watch()).collect();
        // Four times as long as it is between two questions, at most.
        sleep(Duration::from_secs(80)).await;
        assert!(changes.iter_mut().all(|members| !members.has_changed().unwrap()), "mood {bad}");
    }
    let stats = nodes[0].stats();
    assert!(stats.discoveries > 8 && stats.discovery_failures > 4, "{stats:?}");
    // Who is cut off finds the others again by what was named before, though nobody names them now.
    network.isolate(ip(1));
    grows_to(&nodes[0], 1).await;
    network.heal_all();
    for node in &nodes {
        grows_to(node, 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn registration_is_tried_until_it_is_made_and_bounded_when_it_is_taken_back() {
    let network = SimNetwork::new(11);
    let registered = Arc::default();
    let alone =
        Failing { mood: Arc::new(AtomicU32::new(1)), registered: Arc::clone(&registered), ..Failing::default() };
    let node = node(&network, 1, alone);
    let registered_now = || registered.lock().clone();
    node.join().await.unwrap();
    assert_eq!(registered_now(), [], "joining does not wait for what can be done later");
    sleep(Duration::from_secs(15)).await;
    assert_eq!(registered_now(), [node.id()], "once");
    let start = SystemClock::new().now();
    let error = node.leave().await.unwrap_err();
    assert_eq!(error.to_string(), "discovery did not forget this node in time");
    assert!(SystemClock::new().now().since(start) < Duration::from_secs(4));
    assert_eq!(registered_now(), []);
    node.leave().await.unwrap();
}

/// Tells of addresses by streams that end.
#[derive(Debug, Default)]
struct Broken(AtomicU32);

#[async_trait]
impl Discovery for Broken {
    async fn discover(&self) -> Result<Vec<SocketAddr>> {
        Err(Error::new(ErrorKind::Unavailable, "watch"))
    }

    fn watch(&self) -> Option<SeedStream> {
        let nth = self.0.fetch_add(1, Ordering::Relaxed);
        Some(SeedStream::new(stream::iter((nth == 3).then(|| vec![at(1)]))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_is_asked_for_anew() {
    let network = SimNetwork::new(12);
    let first = node(&network, 1, StaticDiscovery::default());
    let second = node(&network, 2, Broken::default());
    grows_to(&second, 2).await;
    grows_to(&first, 2).await;
}

/// Tells of addresses by a stream alone.
#[derive(Debug)]
struct Streamed;

#[async_trait]
impl Discovery for Streamed {
    async fn discover(&self) -> Result<Vec<SocketAddr>> {
        Err(Error::new(ErrorKind::Unavailable, "watch"))
    }

    fn watch(&self) -> Option<SeedStream> {
        Some(SeedStream::new(stream::once(async {
            sleep(Duration::from_secs(7)).await;
            vec![at(1)]
        })))
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_may_be_a_stream() {
    let network = SimNetwork::new(5);
    let first = node(&network, 1, StaticDiscovery::default());
    let second = node(&network, 2, Streamed);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(second.members().len(), 1);
    grows_to(&second, 2).await;
    grows_to(&first, 2).await;
}

/// Hands lists to another node of this process.
#[derive(Debug, Default)]
struct ByHand {
    to: Mutex<Option<Arc<Gossip>>>,
    times: AtomicU32,
}

#[async_trait]
impl StateStream for ByHand {
    async fn exchange(&self, _: &Member, state: Bytes) -> Result<Bytes> {
        self.times.fetch_add(1, Ordering::Relaxed);
        let to = self.to.lock().clone();
        to.ok_or_else(|| Error::new(ErrorKind::Unavailable, "nobody"))?.receive_state(&state)
    }
}

#[tokio::test(start_paused = true)]
async fn lists_go_by_streams() {
    let network = SimNetwork::new(6);
    let first = Arc::new(node(&network, 1, seeds()));
    let by_hand = Arc::new(ByHand::default());
    *by_hand.to.lock() = Some(Arc::clone(&first));
    let socket = Arc::new(network.host(ip(2)).datagrams(3322).unwrap());
    let builder = Gossip::builder("shop", Member::at(at(2))).secret(secret()).discovery(seeds());
    let second = builder.state_stream(Arc::<ByHand>::clone(&by_hand)).start(socket).unwrap();
    grows_to(&second, 2).await;
    grows_to(&first, 2).await;
    assert!(by_hand.times.load(Ordering::Relaxed) > 0);
    assert_eq!(first.receive_state(b"garbage").unwrap_err().kind(), ErrorKind::Protocol);
    assert!(!first.receive_state(b"").unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn strangers_stay_outside_and_secrets_can_be_changed() {
    let network = SimNetwork::new(7);
    let first = node(&network, 1, seeds());
    let other = GossipSecret::new([4; 32]).unwrap();
    let socket = Arc::new(network.host(ip(2)).datagrams(3322).unwrap());
    let builder = Gossip::builder("shop", Member::at(at(2))).secret(other.clone()).discovery(seeds());
    let second = builder.start(socket).unwrap();
    let socket = Arc::new(network.host(ip(3)).datagrams(3322).unwrap());
    let builder = Gossip::builder("inn", Member::at(at(3))).secret(secret()).discovery(seeds());
    let third = builder.start(socket).unwrap();
    sleep(Duration::from_secs(5)).await;
    assert!([&first, &second, &third].iter().all(|node| node.members().len() == 1));
    assert!(first.stats().unauthentic > 0 && first.stats().wrong_cluster > 0, "{:?}", first.stats());

    second.set_secrets(&[other.clone(), secret()]).unwrap();
    first.set_secrets(&[secret(), other]).unwrap();
    grows_to(&first, 2).await;
    grows_to(&second, 2).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_half_way_leaves_nothing_undone() {
    let network = SimNetwork::new(8);
    let (first, second) = (node(&network, 1, seeds()), node(&network, 2, seeds()));
    drop(timeout(Duration::from_millis(1), first.join()).await);
    grows_to(&first, 2).await;
    drop(timeout(Duration::from_millis(1), first.leave()).await);
    grows_to(&second, 1).await;
    // A handle that is dropped ends its task, and the socket with it.
    drop(first);
    sleep(Duration::from_millis(10)).await;
    network.host(ip(1)).datagrams(3322).unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_is_replaced_is_told_and_stops() {
    let network = SimNetwork::new(9);
    let other = node(&network, 1, seeds());
    let named = |host| {
        let me = Member::new("cache-0".parse().unwrap(), at(host));
        let socket = Arc::new(network.host(ip(host)).datagrams(3322).unwrap());
        Gossip::builder("shop", me).secret(secret()).discovery(seeds()).start(socket).unwrap()
    };
    let old = named(2);
    grows_to(&other, 2).await;
    sleep(Duration::from_secs(20)).await;
    let new = named(3);
    timeout(Duration::from_secs(20), old.watch().wait_for(|members| !members.contains(old.id())))
        .await
        .unwrap()
        .unwrap();
    assert!(old.is_replaced() && !new.is_replaced());
    assert!(!old.join().await.unwrap_err().is_retryable());
    old.leave().await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(other.members().get(new.id()).map(|member| member.gossip), Some(at(3)));
    assert_eq!((other.members().len(), new.members().len()), (2, 2));
}

#[tokio::test]
async fn real_sockets_do() {
    let sockets =
        [Udp::bind(([127, 0, 0, 1], 0).into()).await.unwrap(), Udp::bind(([127, 0, 0, 1], 0).into()).await.unwrap()];
    let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    let nodes: Vec<_> = sockets
        .into_iter()
        .map(|socket| {
            let me = Member::at(socket.local_addr().unwrap());
            let discovery = StaticDiscovery::new(addresses.clone());
            Gossip::builder("shop", me).secret(secret()).discovery(discovery).start(Arc::new(socket)).unwrap()
        })
        .collect();
    for node in &nodes {
        grows_to(node, 2).await;
    }
    nodes[1].leave().await.unwrap();
    grows_to(&nodes[0], 1).await;
}
