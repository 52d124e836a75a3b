//! The suite of the core, over the engine.

use memstache_cluster::{Engine, KeySpace};
use memstache_core::{
    NearConfig, Stack,
    testing::{
        ManualClock,
        conformance::{self, Capabilities, ManualSubject, Report},
    },
};

use crate::kit::KS;

const EVENTS: usize = 256;

pub(crate) fn capabilities() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.stream_capacity = Some(EVENTS);
    capabilities
}

fn assert_whole(report: &Report) {
    report.assert_ok();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

async fn engine(clock: &ManualClock) -> Engine {
    let keyspace = KeySpace::builder(KS).max_bytes(64 << 20).build().unwrap();
    let secs = std::time::Duration::from_secs;
    let engine = Engine::builder()
        .keyspace(keyspace)
        .event_capacity(EVENTS)
        .clock(clock.clone())
        .read_timeout(secs(3600))
        .write_timeout(secs(3600))
        .build()
        .unwrap();
    engine.start().await.unwrap();
    engine
}

#[tokio::test(start_paused = true)]
async fn an_engine_of_one_node_keeps_every_rule() {
    let clock = ManualClock::new();
    let leaf = engine(&clock).await.service(KS).unwrap();
    let service = leaf.clone();
    let subject = ManualSubject::new(clock, move || Stack::over(service.clone()).build());
    assert_whole(&conformance::run(&subject.with_coherence(leaf).with_capabilities(capabilities())).await);
}

#[tokio::test(start_paused = true)]
async fn a_near_cache_over_an_engine_of_one_node_keeps_every_rule() {
    let clock = ManualClock::new();
    let leaf = engine(&clock).await.service(KS).unwrap();
    let (service, near) = (leaf.clone(), NearConfig::new(32 << 20).unwrap().with_clock(clock.clone()));
    let subject = ManualSubject::new(clock, move || Stack::over(service.clone()).near(near.clone()).build());
    assert_whole(&conformance::run(&subject.with_coherence(leaf).with_capabilities(capabilities())).await);
}
