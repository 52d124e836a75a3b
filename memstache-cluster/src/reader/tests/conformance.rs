//! The suite of the core, over three nodes.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use memstache_core::{
    Stack,
    testing::{
        ManualClock,
        conformance::{self, ManualSubject},
    },
};

use super::{Nodes, kit::*};
use crate::KeySpace;

#[tokio::test(start_paused = true)]
async fn an_engine_of_three_nodes_keeps_every_rule() {
    let clock = ManualClock::new();
    let keyspace = |_: &Counting| KeySpace::builder(KS).max_bytes(64 << 20);
    let hour = |builder: crate::EngineBuilder| builder.read_timeout(secs(3600)).write_timeout(secs(3600));
    let nodes = Nodes::apart(3, clock.clone(), keyspace, hour).await;
    nodes.all_see(0..3).await;
    // Each handle is on another node.
    let services: Vec<_> = nodes.engines.iter().map(|engine| engine.service(KS).unwrap()).collect();
    let next = AtomicUsize::new(0);
    let subject = ManualSubject::new(clock, move || {
        Stack::over(services[next.fetch_add(1, Relaxed) % services.len()].clone()).build()
    });
    let report = conformance::run(&subject).await;
    report.assert_ok();
    // The three rules of the stream of changes, which is not there between nodes yet, near and from the authority; no other.
    assert_eq!(report.skipped().count(), 6, "{report}");
}
