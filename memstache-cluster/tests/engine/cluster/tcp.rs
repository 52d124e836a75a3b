//! Three nodes on loopback: gossip over UDP, calls over TCP.

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::join_all;
use memstache_cluster::{
    ClusterConfig, Engine, EngineEvent, Member, NodeName,
    membership::{Gossip, GossipSecret, StaticDiscovery},
    net::{Datagrams, Udp},
};

use crate::kit::*;

const SECRET: &[u8] = b"0123456789abcdef";

struct Node {
    engine: Engine,
    source: Counting,
}

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn node(name: usize, socket: Udp, seeds: Vec<SocketAddr>) -> Node {
    let (source, address) = (Counting::default(), free());
    let name: NodeName = format!("node-{name}").parse().unwrap();
    let me = Member::new(name, address).with_gossip(socket.local_addr().unwrap());
    let gossip = Gossip::builder("test", me.clone())
        .secret(GossipSecret::new(SECRET).unwrap())
        .discovery(StaticDiscovery::new(seeds))
        .start(Arc::new(socket))
        .unwrap();
    let cluster = ClusterConfig::new("test", me, gossip).bind(address).secret(SECRET).minimum_peers_quorum(3);
    let keyspace = sourced(&source).build().unwrap();
    let engine = Engine::builder().keyspace(keyspace).cluster(cluster).shutdown_timeout(secs(4)).build().unwrap();
    Node { engine, source }
}

async fn three() -> Vec<Node> {
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(Udp::bind("127.0.0.1:0".parse().unwrap()).await.unwrap());
    }
    let seeds: Vec<SocketAddr> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    let nodes: Vec<Node> = sockets.into_iter().enumerate().map(|(n, socket)| node(n, socket, seeds.clone())).collect();
    // All at once: nobody is there before the others.
    join_all(nodes.iter().map(|node| node.engine.start())).await.into_iter().for_each(|started| started.unwrap());
    nodes
}

/// Waits until no node falls back to its own source any more, whoever owns what it reads.
async fn agreed(nodes: &[Node]) {
    const PROBES: u64 = 48;
    for round in 0.. {
        let mut asked = 0;
        for key in (0..PROBES).map(|n| format!("probe{round}-{n}")) {
            join_all(nodes.iter().map(|node| try_read(&node.engine, &key))).await;
            asked += nodes.iter().map(|node| node.source.asked(&key)).sum::<u64>();
        }
        if asked == PROBES {
            return;
        }
        assert!(round < 500, "they do not agree");
        tokio::time::sleep(millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_that_start_at_once_load_each_key_once_and_see_each_others_writes() {
    const KEYS: usize = 2_000;
    let nodes = three().await;
    agreed(&nodes).await;
    let loads = |nodes: &[Node]| {
        let stats = nodes.iter().map(|node| node.engine.stats(KS).unwrap());
        stats.fold((0, 0), |(own, fallback), stats| (own + stats.local_loads, fallback + stats.fallback_loads))
    };
    let before = loads(&nodes);
    let reads = nodes.iter().flat_map(|node| (0..4).map(move |worker| (node.engine.clone(), worker))).map(
        |(engine, worker)| {
            tokio::spawn(async move {
                for n in 0..KEYS {
                    let key = format!("k{}", (n + worker * KEYS / 4) % KEYS);
                    assert_eq!(read(&engine, &key).await, Some(format!("{key}#1")));
                }
            })
        },
    );
    join_all(reads).await.into_iter().for_each(|read| read.unwrap());
    let after = loads(&nodes);
    // On a machine that stalls, the time of calls under way may pass, and what they ask for is read from the source beside.
    println!("{} loads by owners, {} in their place", after.0 - before.0, after.1 - before.1);
    assert_eq!(after.0 - before.0, KEYS as u64, "each key was loaded once by its owner");
    let asked: u64 = nodes.iter().map(|node| node.source.total()).sum();
    assert_eq!(asked, after.0 + after.1, "and all loads were counted");
    let [a, b, c] = [0, 1, 2].map(|n| &nodes[n].engine);
    for n in 0..50 {
        let key = format!("k{n}");
        a.put(KS, &key, "put on a").await.unwrap();
        assert_eq!(read(b, &key).await.as_deref(), Some("put on a"));
        assert_eq!(read(c, &key).await.as_deref(), Some("put on a"));
        assert!(b.delete(KS, &key).await.unwrap());
        let seen = join_all([a, b, c].map(|engine| read(engine, &key))).await;
        assert!(seen.iter().flatten().filter(|value| *value != "put on a").count() == 3, "{seen:?}");
    }
    for node in &nodes {
        node.engine.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_hands_over_what_it_holds() {
    let nodes = three().await;
    agreed(&nodes).await;
    let mut events = nodes[0].engine.events();
    for _ in 0..3 {
        assert!(matches!(events.next().await, Some(EngineEvent::PeerJoined(_))));
    }
    for n in 0..300 {
        nodes[0].engine.put(KS, format!("k{n}"), format!("put {n}")).await.unwrap();
    }
    nodes[2].engine.stop().await.unwrap();
    let mut lost = 0;
    for n in 0..300 {
        let value = read(&nodes[0].engine, &format!("k{n}")).await.unwrap();
        lost += usize::from(value != format!("put {n}"));
    }
    assert_eq!(lost, 0, "all was handed over");
    loop {
        if let EngineEvent::PeerLeft(member) = events.next().await.unwrap() {
            assert_eq!(member.name.as_str(), "node-2");
            break;
        }
    }
    for node in &nodes[..2] {
        node.engine.stop().await.unwrap();
    }
}
