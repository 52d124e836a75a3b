//! A cluster of 1,000 nodes in one thread, on a clock that is turned by hand: how long it takes to come together, to notice
//! a crash, to heal, and what a node sends meanwhile. Times are simulated ones: they are the same on every machine. From 1,000
//! nodes on they know each other from the beginning.
//!
//! `cargo bench -p memstache-cluster --bench gossip`; `-- --quick` for 200 nodes.

#![allow(clippy::print_stdout, missing_docs, reason = "a bench prints its tables")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::time::Duration;

use memstache_cluster::membership::simulation::{Settings, Simulation};

fn main() {
    let sizes: &[usize] = if std::env::args().any(|arg| arg == "--quick") { &[10, 200] } else { &[10, 100, 1000] };
    println!(
        "| nodes | lost datagrams | together after s | crash seen by all after s | split healed after s | B/s a node | lost by mistake |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut rates = Vec::new();
    for nodes in sizes {
        for loss in if *nodes < 1000 { &[0.0, 0.02][..] } else { &[0.01] } {
            rates.push(story(*nodes, *loss));
        }
    }
    let (least, most) =
        rates.iter().fold((f64::MAX, 0.0_f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
    assert!(most < 2.0 * least, "what a node sends grows with the cluster: {least:.0} to {most:.0} bytes a second");
}

fn story(nodes: usize, loss: f64) -> f64 {
    let limit = Duration::from_secs(60);
    let mut cluster = Simulation::new(nodes, Settings::new(1).with_loss(loss));
    cluster.start_all();
    if nodes >= 1000 {
        cluster.acquaint();
    }
    let together = cluster.run_until(limit, Simulation::agree).expect("they find each other");

    cluster.run_for(Duration::from_secs(15));
    let before = cluster.bytes_sent();
    cluster.run_for(Duration::from_secs(10));
    let rate = (cluster.bytes_sent() - before) as f64 / 10.0 / nodes as f64;

    let mistakes: u64 = (0..nodes).map(|node| cluster.stats(node).rejoined).sum();

    cluster.crash(nodes / 2);
    let crash = cluster.run_until(limit, |cluster| cluster.all_see(nodes / 2, false)).expect("it is noticed");

    (0..nodes / 10).for_each(|node| cluster.put_on_side(node, 1));
    cluster.run_for(Duration::from_secs(20));
    cluster.heal();
    let healed = cluster.run_until(limit, Simulation::agree).expect("it heals");

    let seconds = |span: Duration| span.as_secs_f64();
    let (together, crash, healed) = (seconds(together), seconds(crash), seconds(healed));
    println!("| {nodes} | {:.0} % | {together:.1} | {crash:.1} | {healed:.1} | {rate:.0} | {mistakes} |", loss * 100.0);
    assert!(crash < 10.0, "a crash is seen after {crash} s");
    rate
}
