//! What copies of hot keys are worth: a hot set that moves, and one key that is read like a hundred.

use std::{array, net::IpAddr, time::Duration};

use futures_util::future::join_all;
use memstache_cluster::{
    ClusterConfig, Engine, HotCopies, Member, MemberState, membership::StaticMembership, net::SimNetwork,
};

use crate::kit::*;

const NODES: usize = 3;
/// Readers of each node.
const READERS: usize = 2;
/// Between two reads of a reader.
const PAUSE: Duration = millis(4);
/// For how long a set is hot.
const WINDOW: Duration = secs(10);
const WINDOWS: usize = 6;
/// How soon after it moved a set has copies.
const FOLLOWED: Duration = secs(4);
/// What is hot: what is read forty times a second.
const HOT: HotCopies = HotCopies::above(40.0);
/// Keys that are read now and then.
const COLD: usize = 200;

/// Which keys are read.
#[derive(Clone, Copy)]
struct Demand {
    /// Keys of each window that are hot, and which part of the reads is theirs.
    hot: usize,
    part: f64,
    moves: bool,
}

/// What was counted in a time.
#[derive(Clone, Copy, Default)]
struct Row {
    reads: u64,
    /// Reads that another node answered.
    remote: u64,
    /// What the busiest node was asked for by others, and all of them together.
    busiest: u64,
    served: u64,
}

impl Row {
    fn remote_share(&self) -> f64 {
        self.remote as f64 / self.reads.max(1) as f64
    }

    /// How much more than its share the busiest node served.
    fn over_the_mean(&self) -> f64 {
        (self.busiest * NODES as u64) as f64 / self.served.max(1) as f64
    }
}

async fn started(copies: bool) -> Vec<Engine> {
    let (network, source) = (SimNetwork::new(11), Counting::default());
    network.set_delay(Duration::ZERO..=millis(1));
    let member = |n: usize| Member::at((IpAddr::from([10, 0, 0, n as u8 + 1]), 3320).into());
    let mut engines = Vec::new();
    for n in 0..NODES {
        let others = (0..NODES).filter(|other| *other != n).map(|n| member(n).with_state(MemberState::Active));
        let list = StaticMembership::without_liveness(StaticMembership::new(member(n), others));
        let cluster = ClusterConfig::new("hot", member(n), list)
            .transport(network.host(member(n).address.ip()))
            .bind(member(n).address)
            .insecure();
        let keyspace = sourced(&source).default_ttl(secs(3600));
        let keyspace = if copies { keyspace.hot_copies(HOT) } else { keyspace.without_hot_copies() };
        let engine = Engine::builder().keyspace(keyspace.build().unwrap()).cluster(cluster).build().unwrap();
        engine.start().await.unwrap();
        engines.push(engine);
    }
    // Until peers are known to one another, and what changes of members bring is over.
    tokio::time::sleep(secs(12)).await;
    for n in 0..COLD {
        read(&engines[n % NODES], &format!("cold {n}")).await.unwrap();
    }
    engines
}

fn counted(engines: &[Engine]) -> [(u64, u64); NODES] {
    array::from_fn(|n| {
        let stats = engines[n].stats(KS).unwrap();
        (stats.peer_loads, stats.server_requests)
    })
}

/// Reads from all nodes for so long, of a window's demand.
async fn phase(engines: &[Engine], demand: Demand, window: usize, time: Duration) -> Row {
    let before = counted(engines);
    let readers = (0..NODES * READERS).map(|number| {
        let engine = engines[number % NODES].clone();
        tokio::spawn(async move {
            let (watch, mut reads) = (Stopwatch::start(), 0);
            let mut rng = fastrand::Rng::with_seed((window * 100 + number) as u64 ^ time.as_millis() as u64);
            while watch.elapsed() < time {
                let set = if demand.moves { window } else { 0 };
                let key = match rng.f64() < demand.part {
                    true => format!("hot {set} {}", rng.usize(..demand.hot)),
                    false => format!("cold {}", rng.usize(..COLD)),
                };
                let value = read(&engine, &key).await.expect("the source has it");
                assert!(value.starts_with(&format!("{key}#")), "{key}: {value}");
                reads += 1;
                tokio::time::sleep(PAUSE).await;
            }
            reads
        })
    });
    let reads = join_all(readers).await.into_iter().map(Result::unwrap).sum();
    let after = counted(engines);
    let served: [u64; NODES] = array::from_fn(|n| after[n].1 - before[n].1);
    Row {
        reads,
        remote: (0..NODES).map(|n| after[n].0 - before[n].0).sum(),
        busiest: *served.iter().max().unwrap(),
        served: served.iter().sum(),
    }
}

/// A row for the time in which a set is new, and one for the rest of its time; a window after the other.
async fn run(copies: bool, demand: Demand, windows: usize) -> Vec<[Row; 2]> {
    let engines = started(copies).await;
    let mut rows = Vec::new();
    for window in 0..windows {
        let new = phase(&engines, demand, window, FOLLOWED).await;
        rows.push([new, phase(&engines, demand, window, WINDOW - FOLLOWED).await]);
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn a_hot_set_that_moves_every_ten_seconds_is_followed() {
    // A half of 1,000 or so reads a second is of five keys: about 100 of each.
    let demand = Demand { hot: 5, part: 0.5, moves: true };
    let (with, without) = (run(true, demand, WINDOWS).await, run(false, demand, WINDOWS).await);
    println!("{:<14} {:^32}   {:^32}", "", "with copies", "without");
    let head = || format!("{:>9} {:>11} {:>10}", "remote", "owner", "of mean");
    println!("{:<14} {}   {}", "seconds", head(), head());
    let times = [FOLLOWED, WINDOW - FOLLOWED].map(|time| time.as_secs_f64());
    for (window, (with, without)) in with.iter().zip(&without).enumerate() {
        for (part, (with, without)) in with.iter().zip(without).enumerate() {
            let from = window as f64 * WINDOW.as_secs_f64() + if part == 0 { 0.0 } else { times[0] };
            let show = |row: &Row| {
                let (share, rate) = (100.0 * row.remote_share(), row.busiest as f64 / times[part]);
                format!("{share:>8.1}% {rate:>9.0}/s {:>10.2}", row.over_the_mean())
            };
            println!("{:<14} {}   {}", format!("{from:.0}-{:.0}", from + times[part]), show(with), show(without));
        }
    }
    for (window, ([new, settled], [_, bare])) in with.iter().zip(&without).enumerate() {
        assert!(bare.remote_share() > 0.6, "window {window}: two of three are another's: {}", bare.remote_share());
        let share = settled.remote_share();
        assert!(share < 0.55 * bare.remote_share(), "window {window}: the set has copies by now: {share}");
        assert!(new.remote_share() < bare.remote_share(), "window {window}: it gets them early");
        assert!(3 * settled.busiest < 2 * bare.busiest, "window {window}: its owners are asked less");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_read_like_a_hundred_is_no_burden_to_its_owner() {
    // One at 100 times the mean of 200 others.
    let demand = Demand { hot: 1, part: 100.0 / (100.0 + COLD as f64), moves: false };
    let ([with, without], mut told) = ([run(true, demand, 2).await, run(false, demand, 2).await], String::new());
    for (what, rows) in [("with copies", &with), ("without", &without)] {
        let row = rows[1][1];
        told += &format!("{what}: the busiest of {NODES} served {} of {}, ", row.busiest, row.served);
    }
    println!("{told}in six seconds");
    let (with, without) = (with[1][1], without[1][1]);
    assert!(without.over_the_mean() > 1.6, "{told}");
    assert!(with.over_the_mean() < 1.25, "{told}");
    assert!(2 * with.busiest < without.busiest, "{told}");
}
