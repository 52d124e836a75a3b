//! How long nodes take to answer for what they own, when they start at once and when one is killed.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::join_all};
use memstache_cluster::{
    ClusterConfig, Engine, EngineEvent, Member,
    membership::{Gossip, GossipSecret, StaticDiscovery},
    net::SimNetwork,
};

use crate::kit::*;

fn ip(n: usize) -> IpAddr {
    [10, 0, 0, n as u8 + 1].into()
}

struct Node {
    engine: Engine,
    source: Counting,
}

/// A node that gossips over a network in memory, and asks so many who is there.
fn node(network: &SimNetwork, n: usize, count: usize) -> Node {
    let seeds: Vec<_> = (0..count).map(|n| (ip(n), 3322).into()).collect();
    let (host, source) = (network.host(ip(n)), Counting::default());
    let me = Member::at((ip(n), 3320).into()).with_gossip((ip(n), 3322).into());
    let gossip = Gossip::builder("test", me.clone())
        .secret(GossipSecret::new([3; 32]).unwrap())
        .discovery(StaticDiscovery::new(seeds))
        .start(Arc::new(host.datagrams(3322).unwrap()))
        .unwrap();
    let cluster = ClusterConfig::new("test", me.clone(), gossip).transport(host).bind(me.address).insecure();
    let keyspace = sourced(&source).build().unwrap();
    Node { engine: Engine::builder().keyspace(keyspace).cluster(cluster).build().unwrap(), source }
}

/// Nodes that are started at once.
async fn start(network: &SimNetwork, count: usize) -> Vec<Node> {
    let nodes: Vec<Node> = (0..count).map(|n| node(network, n, count)).collect();
    join_all(nodes.iter().map(|node| node.engine.start())).await.into_iter().for_each(|started| started.unwrap());
    nodes
}

/// Reads a new key through all nodes at once; returns how long the slowest took, and how often it was loaded.
async fn probe(nodes: &[Node], key: &str) -> (Duration, u64) {
    let reads = nodes.iter().map(|node| async {
        let began = Stopwatch::start();
        assert!(read(&node.engine, key).await.is_some());
        began.elapsed()
    });
    let slowest = join_all(reads).await.into_iter().max().unwrap();
    (slowest, nodes.iter().map(|node| node.source.asked(key)).sum())
}

#[tokio::test(start_paused = true)]
async fn nodes_that_start_at_once_soon_answer_for_what_they_own() {
    for (count, seed) in [(3, 1), (3, 2), (5, 3), (5, 4), (5, 5)] {
        let network = SimNetwork::new(seed);
        network.set_delay(millis(1)..=millis(3));
        let began = Stopwatch::start();
        let nodes = start(&network, count).await;
        let started = began.elapsed();
        let (mut slowest, mut settled) = (Duration::ZERO, None);
        // Until each key has been loaded once for two seconds.
        for n in 0.. {
            let keys: Vec<String> = (0..8).map(|key| format!("probe{n}.{key}")).collect();
            let probes = join_all(keys.iter().map(|key| probe(&nodes, key))).await;
            slowest = probes.iter().map(|(took, _)| *took).fold(slowest, Ord::max);
            let once = probes.iter().all(|(_, loads)| *loads == 1);
            settled = if once { settled.or_else(|| Some(began.elapsed())) } else { None };
            if settled.is_some_and(|at| began.elapsed() > at + secs(2)) {
                break;
            }
            assert!(began.elapsed() < secs(30), "they do not settle");
            tokio::time::sleep(millis(10)).await;
        }
        let settled = settled.unwrap();
        println!(
            "{count} nodes, seed {seed}: started after {started:?}, slowest read {slowest:?}, agreed after {settled:?}"
        );
        assert!(slowest < millis(500) && settled < millis(1000), "{count} nodes: {slowest:?}, {settled:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_each_lost_key_is_loaded_once_more_as_soon_as_it_is_noticed() {
    for seed in [1, 2, 3] {
        let network = SimNetwork::new(seed);
        network.set_delay(millis(1)..=millis(3));
        let nodes = start(&network, 3).await;
        tokio::time::sleep(secs(8)).await;
        let keys: Vec<String> = (0..60).map(|n| format!("k{n}")).collect();
        for key in &keys {
            read(&nodes[0].engine, key).await;
        }
        let mut events = nodes[0].engine.events();
        network.crash(ip(2));
        let (killed, mut last, mut noticed) = (Stopwatch::start(), Duration::ZERO, None);
        let asked = |key: &str| nodes[..2].iter().map(|node| node.source.asked(key)).sum::<u64>();
        let before: u64 = keys.iter().map(|key| asked(key)).sum();
        while killed.elapsed() < secs(15) {
            for key in &keys {
                let loads = asked(key);
                join_all(nodes[..2].iter().map(|node| read(&node.engine, key))).await;
                if asked(key) > loads {
                    last = killed.elapsed();
                }
            }
            while let Some(Some(event)) = events.next().now_or_never() {
                if matches!(event, EngineEvent::PeerLeft(_)) {
                    noticed = noticed.or_else(|| Some(killed.elapsed()));
                }
            }
            tokio::time::sleep(millis(100)).await;
        }
        let loads = keys.iter().map(|key| asked(key)).sum::<u64>() - before;
        println!(
            "seed {seed}: noticed after {noticed:?}, last load after {last:?}, {loads} loads of {} keys",
            keys.len()
        );
        assert!(last < noticed.unwrap() + millis(1000), "{last:?}");
    }
}

/// The longest read of keys that are held, through some nodes, one after the other until so much time has passed.
async fn longest_read(nodes: &[Node], span: Duration) -> Duration {
    let (began, mut longest) = (Stopwatch::start(), Duration::ZERO);
    while began.elapsed() < span {
        let reads = (0..60).map(|key| async move {
            let read_began = Stopwatch::start();
            assert!(read(&nodes[key % nodes.len()].engine, &format!("k{key}")).await.is_some());
            read_began.elapsed()
        });
        longest = join_all(reads).await.into_iter().fold(longest, Ord::max);
        tokio::time::sleep(millis(5)).await;
    }
    longest
}

#[tokio::test(start_paused = true)]
async fn while_a_node_joins_no_read_waits_longer_than_the_news_takes() {
    for (seed, killed) in [(1, false), (2, false), (3, true), (4, true)] {
        let network = SimNetwork::new(seed);
        network.set_delay(millis(1)..=millis(3));
        let mut nodes = start(&network, 3).await;
        tokio::time::sleep(secs(8)).await;
        longest_read(&nodes, millis(10)).await;
        if killed {
            network.crash(ip(2));
            nodes.pop();
            tokio::time::sleep(secs(20)).await;
            longest_read(&nodes, millis(10)).await;
        }
        let new = node(&network, 3, 4);
        let (longest, started) = tokio::join!(longest_read(&nodes, secs(2)), new.engine.start());
        started.unwrap();
        println!("seed {seed}, one was killed before: {killed}: the longest read took {longest:?}");
        assert!(longest < millis(200), "seed {seed}: {longest:?}");
    }
}
