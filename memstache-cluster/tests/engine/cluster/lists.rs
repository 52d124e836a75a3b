//! Lists of members that no datagram holds go over the connections of peers.

use std::sync::Arc;

use memstache_cluster::{
    ClusterConfig, Engine, Member,
    membership::{Gossip, StaticDiscovery},
    net::SimNetwork,
};

use crate::kit::*;

fn member(n: u8) -> Member {
    let ip = [10, 0, 0, n + 1];
    Member::at((ip, 3320).into()).with_gossip((ip, 3322).into())
}

#[tokio::test(start_paused = true)]
async fn lists_of_members_go_over_the_connections_of_peers() {
    const NODES: u8 = 12;
    let network = SimNetwork::new(3);
    let mut nodes = Vec::new();
    for n in 0..NODES {
        let host = network.host(member(n).address.ip());
        let datagrams = host.datagrams(member(n).gossip.port()).unwrap();
        let gossip = Arc::new(
            Gossip::builder("test", member(n))
                .insecure_plaintext()
                .discovery(StaticDiscovery::new([member(0).gossip]))
                .start(Arc::new(datagrams))
                .unwrap(),
        );
        let cluster =
            ClusterConfig::new("test", member(n), Arc::clone(&gossip)).transport(host).bind(member(n).address);
        let keyspace = sourced(&Counting::default()).build().unwrap();
        let engine = Engine::builder().keyspace(keyspace).cluster(cluster.insecure()).build().unwrap();
        engine.start().await.unwrap();
        nodes.push((engine, gossip));
    }
    tokio::time::sleep(secs(20)).await;
    for (engine, gossip) in &nodes {
        assert_eq!(engine.peers().len(), usize::from(NODES));
        assert!(gossip.stats().malformed == 0, "{:?}", gossip.stats());
    }
    let lists: u64 = nodes.iter().map(|(_, gossip)| gossip.stats().lists).sum();
    assert!(lists >= u64::from(NODES), "{lists} lists");
}
