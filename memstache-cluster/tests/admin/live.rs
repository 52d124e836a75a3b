//! Nodes on loopback: gossip over UDP, calls over TCP, admin endpoints on ports of their own.

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::join_all;
use memstache_cluster::{
    ClusterConfig, Engine, KeySpace, Member, NodeName, RateLimit,
    admin::{Admin, AdminServer},
    membership::{Gossip, GossipSecret, StaticDiscovery},
    net::{Datagrams as _, Udp},
};
use tokio::task::JoinSet;

use crate::{
    kit::*,
    sources::{Counting, millis, secs},
};

const SECRET: &[u8] = b"0123456789abcdef";

/// A node; dropped, it is gone without a word to the others.
pub(crate) struct Live {
    pub(crate) engine: Engine,
    /// Anybody reads here.
    pub(crate) open: AdminServer,
    /// Who has a token reads here.
    pub(crate) guarded: AdminServer,
}

/// A port that was free a moment ago.
pub(crate) fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn keyspaces() -> [KeySpace; 3] {
    let products = KeySpace::builder("products").max_bytes(256 << 10).source(Counting::default());
    let sessions = KeySpace::builder("sessions").max_bytes(1 << 20).default_ttl(secs(300));
    let prices = KeySpace::builder("prices").max_bytes(128 << 10).source(Counting::default()).default_ttl(secs(1));
    [products.rate_limit(RateLimit::per_second(9000)), sessions, prices].map(|builder| builder.build().unwrap())
}

/// Starts a node by its number.
pub(crate) async fn node(n: usize, seeds: &[SocketAddr], gossip: SocketAddr, open: SocketAddr) -> Live {
    let address = free();
    let name: NodeName = format!("cache-{n}").parse().unwrap();
    let zone = ["north", "south", "west"][n % 3].parse().unwrap();
    let socket = Udp::bind(gossip).await.unwrap();
    let me = Member::new(name, address).with_gossip(socket.local_addr().unwrap()).with_zone(zone);
    let membership = Gossip::builder("live", me.clone())
        .secret(GossipSecret::new(SECRET).unwrap())
        .discovery(StaticDiscovery::new(seeds.to_vec()))
        .start(Arc::new(socket))
        .unwrap();
    let cluster = ClusterConfig::new("live", me, membership).bind(address).secret(SECRET);
    let builder = keyspaces().into_iter().fold(Engine::builder(), |builder, keyspace| builder.keyspace(keyspace));
    let engine = builder.cluster(cluster).shutdown_timeout(secs(2)).build().unwrap();
    let admin = || Admin::builder(&engine).write_token(WRITE);
    let open = admin().bind(open).build().unwrap().serve().await.unwrap();
    let guarded = admin().read_token(READ).bind(free()).build().unwrap().serve().await.unwrap();
    engine.start().await.unwrap();
    Live { engine, open, guarded }
}

/// Three nodes that see each other, and where they gossip.
pub(crate) async fn three() -> (Vec<Live>, Vec<SocketAddr>) {
    let gossip: Vec<SocketAddr> =
        (0..3).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()).collect();
    let nodes = join_all((0..3).map(|n| node(n, &gossip, gossip[n], free()))).await;
    while !nodes.iter().all(|node| node.engine.is_ready()) {
        tokio::time::sleep(millis(50)).await;
    }
    (nodes, gossip)
}

/// Reads of all nodes, uneven over many keys, until this is dropped.
pub(crate) fn load(engines: &[&Engine]) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (at, engine) in engines.iter().map(|engine| (*engine).clone()).enumerate() {
        tasks.spawn(async move {
            let mut state = 88_172_645_463_325_252_u64 + at as u64;
            loop {
                for _ in 0..8 {
                    // Marsaglia's xorshift: the same reads at every run.
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let even = (state >> 11) as f64 / (1_u64 << 53) as f64;
                    let key = (even.powi(4) * 3000.0) as u64;
                    let keyspace = ["products", "products", "products", "sessions", "prices"][(state % 5) as usize];
                    // What a lost node owned fails for a while where there is no source.
                    drop(engine.get(keyspace, format!("item-{key}")).await);
                    if state.is_multiple_of(97) {
                        drop(engine.put("sessions", format!("item-{key}"), "a session").await);
                    }
                }
                tokio::time::sleep(millis(20)).await;
            }
        });
    }
    tasks
}
