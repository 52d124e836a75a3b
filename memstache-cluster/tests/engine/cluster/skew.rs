//! Nodes whose wall clocks differ by minutes.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use memstache_cluster::{
    ClusterConfig, Engine, Expiry, Key, KeySpace, Member, MemberState, Put, Sourced, membership::StaticMembership,
    net::SimNetwork, source_fn,
};
use memstache_core::{BoxFuture, Clock, SystemClock, Tick};

use crate::kit::*;

const SOURCED: &str = "sourced";
/// How far each wall clock is ahead, less five minutes.
const AHEAD: [Duration; 3] = [secs(300), secs(600), secs(0)];
const LIFE: Duration = secs(60);

/// Paused time, with a wall clock of its own.
#[derive(Clone, Debug)]
struct Skewed {
    began: Tick,
    ahead: Duration,
}

impl Clock for Skewed {
    fn now(&self) -> Tick {
        SystemClock::new().now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + secs(1 << 30) + self.now().since(self.began) + self.ahead
    }

    fn sleep_until(&self, tick: Tick) -> BoxFuture<'static, ()> {
        SystemClock::new().sleep_until(tick)
    }
}

struct Node {
    engine: Engine,
    list: Arc<StaticMembership>,
    clock: Skewed,
}

fn member(n: usize) -> Member {
    Member::at(([10, 0, 0, n as u8 + 1], 3320).into()).with_state(MemberState::Active)
}

fn others(n: usize, all: usize) -> impl Iterator<Item = Member> {
    (0..all).filter(move |other| *other != n).map(member)
}

impl Node {
    async fn start(network: &SimNetwork, n: usize, began: Tick) -> Self {
        let clock = Skewed { began, ahead: AHEAD[n] };
        let list = Arc::new(StaticMembership::new(member(n).with_state(MemberState::Joining), []));
        let cluster = ClusterConfig::new("test", member(n), Arc::clone(&list))
            .transport(network.host(member(n).address.ip()))
            .bind(member(n).address)
            .insecure();
        let wall = clock.clone();
        let source = source_fn(move |key: Key| {
            let value = Sourced::new(key.name().to_vec());
            // One knows an instant of its own clock, the other a span.
            let at = key.name().starts_with(b"at").then(|| wall.wall() + LIFE);
            async move { Ok(Some(at.into_iter().fold(value, Sourced::expires_at))) }
        });
        let engine = Engine::builder()
            .keyspace(KeySpace::builder(KS).build().unwrap())
            .keyspace(KeySpace::builder(SOURCED).source(source).expiry(|_| Some(Expiry::After(LIFE))).build().unwrap())
            .cluster(cluster)
            .clock(clock.clone())
            .build()
            .unwrap();
        engine.start().await.unwrap();
        Self { engine, list, clock }
    }
}

async fn see(nodes: &[Node]) {
    for (n, node) in nodes.iter().enumerate() {
        node.list.set_others(others(n, nodes.len()));
    }
    tokio::time::sleep(secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn wall_clocks_that_are_five_minutes_off_change_no_life_of_an_entry() {
    let (network, began) = (SimNetwork::new(7), SystemClock::new().now());
    let mut nodes = Vec::new();
    for n in 0..2 {
        nodes.push(Node::start(&network, n, began).await);
    }
    see(&nodes).await;
    let keys: Vec<String> = (0..60).map(|n| format!("{}{n}", ["in", "at"][n % 2])).collect();
    for (n, key) in keys.iter().enumerate() {
        let Node { engine, clock, .. } = &nodes[n % 2];
        let put =
            if key.starts_with("at") { Put::new("v").expires_at(clock.wall() + LIFE) } else { Put::new("v").ttl(LIFE) };
        engine.put(KS, key, put).await.unwrap();
        engine.get(SOURCED, key).await.unwrap();
    }
    let stored = SystemClock::new().now();
    // What moves to the third keeps what is left of its life.
    nodes.push(Node::start(&network, 2, began).await);
    see(&nodes).await;
    let loads = |nodes: &[Node]| nodes.iter().map(|node| node.engine.stats(SOURCED).unwrap().local_loads).sum::<u64>();
    for key in &keys {
        for node in &nodes {
            assert_eq!(node.engine.get(KS, key).await.unwrap().as_deref(), Some(&b"v"[..]), "{key}");
            assert_eq!(node.engine.get(SOURCED, key).await.unwrap().as_deref(), Some(key.as_bytes()));
        }
    }
    assert_eq!(loads(&nodes), 60, "nothing was taken for expired");
    assert!(nodes[2].engine.stats(KS).unwrap().main_entries > 5, "some have moved");
    let left = stored.after(LIFE - secs(1)).since(SystemClock::new().now());
    tokio::time::sleep(left).await;
    for key in &keys {
        assert!(nodes[0].engine.get(KS, key).await.unwrap().is_some(), "{key} a second before its end");
    }
    tokio::time::sleep(secs(2)).await;
    for key in &keys {
        for node in &nodes {
            assert_eq!(node.engine.get(KS, key).await.unwrap(), None, "{key} a second after its end");
            node.engine.get(SOURCED, key).await.unwrap();
        }
    }
    assert_eq!(loads(&nodes), 120, "each was loaded again, once");
}
