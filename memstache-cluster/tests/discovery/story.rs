//! What nodes go through, whatever they find each other by.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use memstache_cluster::{
    Member, MemberState, NodeName,
    membership::{Discovery, Gossip, GossipSecret, Membership},
    net::Udp,
};
use tokio::time::timeout;

/// Where nodes run.
pub(crate) trait Place {
    type Discovery: Discovery;

    fn discovery(&self) -> Self::Discovery;

    /// The place says that nodes are there, or at other addresses now. Nothing where they say so themselves.
    fn appear(&mut self, nodes: &[(&str, SocketAddr)]);

    /// The place says that a node is there no more.
    fn vanish(&mut self, node: &str, at: SocketAddr);

    /// The provider ends, and comes back.
    fn end(&mut self);
    fn resume(&mut self);
}

/// What changes by a word must be seen by all so soon.
const SOON: Duration = Duration::from_secs(5);
/// A crash must be noticed first.
const CRASH: Duration = Duration::from_secs(10);

struct Node {
    gossip: Gossip,
    at: SocketAddr,
}

async fn start<P: Place>(place: &P, name: &str, at: SocketAddr) -> Node {
    let me = Member::new(name.parse::<NodeName>().unwrap(), at).with_state(MemberState::Active);
    let socket = Arc::new(Udp::bind(at).await.unwrap());
    let gossip = Gossip::builder("story", me)
        .secret(GossipSecret::new([7; 32]).unwrap())
        .discovery(place.discovery())
        .start(socket)
        .unwrap();
    let joined = gossip.join().await;
    if let Err(error) = joined {
        // It goes on trying by itself.
        assert!(error.is_retryable(), "{error:?}");
    }
    Node { gossip, at }
}

/// How long a provider is away: `MEMSTACHE_PROVIDER_AWAY` in seconds, or 4. More makes no difference to nodes that know each
/// other, as virtual time shows; a minute of every run would only show it again.
fn away() -> Duration {
    let seconds = std::env::var("MEMSTACHE_PROVIDER_AWAY").map_or(4, |told| told.parse().expect("whole seconds"));
    Duration::from_secs(seconds)
}

/// Waits until each knows exactly these addresses.
async fn all_know(what: &str, nodes: &[Node], within: Duration) {
    let begin = Instant::now();
    let mut expected: Vec<_> = nodes.iter().map(|node| node.at).collect();
    expected.sort_unstable();
    for node in nodes {
        let mut members = node.gossip.watch();
        let agrees = members.wait_for(|members| {
            let mut known: Vec<_> = members.iter().map(|member| member.gossip).collect();
            known.sort_unstable();
            known == expected
        });
        let agreed = timeout(within.saturating_sub(begin.elapsed()), agrees).await;
        assert!(
            agreed.is_ok(),
            "{what}: after {within:?} {} knows {:?} and not {expected:?}",
            node.at,
            node.gossip.members()
        );
    }
}

/// Five nodes at once, one that joins later, one that leaves, one that crashes and returns elsewhere, a provider that goes away
/// and comes back. `subnet` keeps tests that run at once apart: 127.`subnet`.0.x.
pub(crate) async fn play<P: Place>(mut place: P, subnet: u8) {
    let port = super::kit::free_port(Ipv4Addr::new(127, subnet, 0, 1));
    let at = |host: u8| SocketAddr::from(([127, subnet, 0, host], port));
    let names: Vec<String> = (1..=6).map(|n| format!("cache-{n}")).collect();

    let five: Vec<_> = (1..=5).map(|n| (names[n as usize - 1].as_str(), at(n))).collect();
    place.appear(&five);
    let mut nodes = join_all(five.iter().map(|(name, at)| start(&place, name, *at))).await;
    all_know("five at once", &nodes, CRASH).await;

    place.appear(&[(&names[5], at(6))]);
    nodes.push(start(&place, &names[5], at(6)).await);
    all_know("one joined", &nodes, SOON).await;

    let leaver = nodes.remove(0);
    leaver.gossip.leave().await.unwrap();
    place.vanish(&names[0], leaver.at);
    all_know("one left", &nodes, SOON).await;

    drop(nodes.remove(0));
    place.vanish(&names[1], at(2));
    all_know("one crashed", &nodes, CRASH).await;
    place.appear(&[(&names[1], at(7))]);
    nodes.push(start(&place, &names[1], at(7)).await);
    all_know("it returned elsewhere", &nodes, SOON).await;

    place.end();
    let mut changes: Vec<_> = nodes.iter().map(|node| node.gossip.watch()).collect();
    changes.iter_mut().for_each(|members| members.mark_unchanged());
    tokio::time::sleep(away()).await;
    assert!(changes.iter().all(|members| !members.has_changed().unwrap()), "the provider was away");
    place.resume();
    place.appear(&[(&names[0], at(8))]);
    nodes.push(start(&place, &names[0], at(8)).await);
    // A client may wait a moment before it connects anew.
    all_know("one joined after the provider returned", &nodes, CRASH).await;
}
