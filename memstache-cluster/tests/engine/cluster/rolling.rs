//! Three nodes are restarted one after the other, under load: what it costs with warm-up and hand-over, and without.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use memstache_cluster::{
    ClusterConfig, Engine, Faults, Incarnation, Member, MemberState, membership::StaticMembership, net::SimNetwork,
};
use tokio::sync::watch;

use crate::kit::*;

const KEYS: usize = 600;
/// How much later than the first a node hears of a change.
const NEWS: Duration = millis(80);
/// How long a phase lasts.
const PHASE: Duration = secs(4);

struct Node {
    engine: Engine,
    list: Arc<StaticMembership>,
    member: Member,
}

struct World {
    network: SimNetwork,
    source: Counting,
    handover: bool,
    /// In their places; one that is being restarted is asked for nothing, as by a load balancer that was told.
    nodes: watch::Sender<Vec<Arc<Node>>>,
    lives: u64,
}

/// What a phase has cost.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    reads: u64,
    errors: u64,
    loads: u64,
}

impl Row {
    fn hit_ratio(&self) -> f64 {
        1.0 - self.loads as f64 / self.reads.max(1) as f64
    }
}

impl World {
    fn member(n: u8, life: u64) -> Member {
        Member::at(([10, 0, 0, n + 1], 3320).into()).with_incarnation(Incarnation(life)).with_state(MemberState::Active)
    }

    async fn start(&mut self, n: u8) {
        self.lives += 1;
        let member = Self::member(n, self.lives);
        let others: Vec<Member> = self.nodes.borrow().iter().map(|node| node.member.clone()).collect();
        let list = Arc::new(StaticMembership::new(member.clone().with_state(MemberState::Joining), others));
        let cluster = ClusterConfig::new("rolling", member.clone(), Arc::clone(&list))
            .transport(self.network.host(member.address.ip()))
            .bind(member.address)
            .insecure();
        let builder = Engine::builder()
            .keyspace(sourced(&self.source).default_ttl(secs(3600)).build().unwrap())
            .cluster(cluster)
            .shutdown_timeout(secs(4));
        let builder = if self.handover { builder } else { builder.without_warm_up().faults(Faults::NoHandOver) };
        let engine = builder.build().unwrap();
        engine.start().await.unwrap();
        self.nodes.send_modify(|nodes| nodes.push(Arc::new(Node { engine, list, member })));
        self.tell(None).await;
    }

    /// Tells all who is there, one after the other; one that leaves is seen so.
    async fn tell(&self, leaving: Option<&Arc<Node>>) {
        let nodes = self.nodes.borrow().clone();
        let there: Vec<&Arc<Node>> = nodes.iter().chain(leaving).collect();
        for node in &there {
            let others = there.iter().filter(|other| other.member.id != node.member.id).map(|other| {
                let draining = leaving.is_some_and(|leaving| leaving.member.id == other.member.id);
                let state = if draining { MemberState::Draining } else { MemberState::Active };
                other.member.clone().with_state(state)
            });
            node.list.set_others(others);
            tokio::time::sleep(NEWS / 2).await;
        }
    }

    /// Stops the node that has been there longest, and starts it anew.
    async fn restart(&mut self) {
        let mut oldest = None;
        self.nodes.send_modify(|nodes| oldest = Some(nodes.remove(0)));
        let node = oldest.unwrap();
        let n = match node.member.address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets()[3] - 1,
            std::net::IpAddr::V6(_) => unreachable!("all have addresses of version 4"),
        };
        let (stopped, ()) = tokio::join!(node.engine.stop(), self.tell(Some(&node)));
        stopped.unwrap();
        self.tell(None).await;
        self.start(n).await;
    }
}

/// Reads keys through the nodes that are there, until it is over.
async fn reader(
    nodes: watch::Receiver<Vec<Arc<Node>>>,
    number: usize,
    over: watch::Receiver<bool>,
) -> (u64, Vec<String>) {
    let (mut reads, mut errors, mut rng) = (0, Vec::new(), fastrand::Rng::with_seed(number as u64));
    while !*over.borrow() {
        let node = {
            let nodes = nodes.borrow();
            Arc::clone(&nodes[rng.usize(..nodes.len())])
        };
        let key = format!("k{}", rng.usize(..KEYS));
        reads += 1;
        match try_read(&node.engine, &key).await {
            Ok(Some(value)) if value.starts_with(&format!("{key}#")) => {}
            other => errors.push(format!("{key}: {other:?}")),
        }
        tokio::time::sleep(millis(5)).await;
    }
    (reads, errors)
}

/// Rolls over all three nodes; a row for each phase, the steady one first.
async fn roll(handover: bool) -> Vec<Row> {
    fastrand::seed(7);
    let nodes = watch::Sender::new(Vec::new());
    let mut world = World { network: SimNetwork::new(7), source: Counting::default(), handover, nodes, lives: 0 };
    world.network.set_delay(Duration::ZERO..=millis(1));
    for n in 0..3 {
        world.start(n).await;
    }
    tokio::time::sleep(secs(12)).await;
    let first = world.nodes.borrow()[0].engine.clone();
    for n in 0..KEYS {
        read(&first, &format!("k{n}")).await.unwrap();
    }
    let mut rows = Vec::new();
    for phase in 0..4 {
        let before = world.source.total();
        let over = watch::Sender::new(false);
        let readers: Vec<_> =
            (0..6).map(|number| tokio::spawn(reader(world.nodes.subscribe(), number, over.subscribe()))).collect();
        if phase > 0 {
            world.restart().await;
        }
        tokio::time::sleep(PHASE).await;
        over.send_replace(true);
        let mut row = Row { loads: world.source.total() - before, ..Row::default() };
        for ended in join_all(readers).await {
            let (reads, errors) = ended.unwrap();
            row.reads += reads;
            row.errors += errors.len() as u64;
            assert!(errors.is_empty(), "phase {phase}, with hand-over {handover}: {errors:?}");
        }
        rows.push(row);
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_costs_a_fifth_of_the_loads_with_warm_up_and_hand_over_and_no_errors() {
    let (with, without) = (roll(true).await, roll(false).await);
    println!("{:<12} {:>32}   {:>32}", "", "with warm-up and hand-over", "without");
    println!(
        "{:<12} {:>9} {:>7} {:>7} {:>6}   {:>9} {:>7} {:>7} {:>6}",
        "phase", "hit ratio", "reads", "loads", "errors", "hit ratio", "reads", "loads", "errors"
    );
    for (n, (with, without)) in with.iter().zip(&without).enumerate() {
        let phase = if n == 0 { "steady".to_owned() } else { format!("restart {n}") };
        print!("{phase:<12}");
        for row in [with, without] {
            print!(" {:>8.2}% {:>7} {:>7} {:>6}  ", row.hit_ratio() * 100.0, row.reads, row.loads, row.errors);
        }
        println!();
    }
    let sum = |rows: &[Row]| rows.iter().map(|row| row.loads).sum::<u64>();
    let (some, many) = (sum(&with), sum(&without));
    println!("loads: {some} with, {many} without");
    assert_eq!(with[0].loads + without[0].loads, 0, "while nothing changes, nothing is loaded");
    assert!(many >= KEYS as u64 / 2, "{many}: without hand-over each restart costs the source its share, twice");
    assert!(some * 5 <= many, "{some} with, {many} without");
    assert!(with.iter().chain(&without).all(|row| row.errors == 0 && row.reads > 1000));
}
