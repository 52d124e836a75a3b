//! The suite of the core, over three nodes.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::StreamExt as _;
use memstache_core::{
    BoxFuture, Coherence, Invalidation, InvalidationStream, NearConfig, Request, Response, Result, Stack,
    testing::{
        ManualClock,
        conformance::{self, Capabilities, ManualSubject},
    },
};
use tower_service::Service;

use super::{Nodes, kit::*};
use crate::{EngineService, HotCopies, KeySpace, reader::Timing};

const EVENTS: usize = 256;

/// A node's part, which lets others do what they can after each call: over a real network, a call takes that long.
#[derive(Clone)]
struct Remote(EngineService);

impl Service<Request> for Remote {
    type Response = Response;
    type Error = memstache_core::Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let call = self.0.call(request);
        Box::pin(async move {
            let answer = call.await;
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            answer
        })
    }
}

impl Coherence for Remote {
    fn subscribe(&self) -> InvalidationStream {
        self.0.subscribe()
    }
}

/// Waits until all lines of a node stand.
async fn follows(service: &EngineService) -> InvalidationStream {
    let mut changes = service.subscribe();
    while changes.next().await.expect("the engine runs") != Invalidation::Gap {}
    changes
}

async fn keeps_every_rule(near: bool) {
    let clock = ManualClock::new();
    let copies = HotCopies::above(0.1);
    let keyspace = |_: &Counting| KeySpace::builder(KS).max_bytes(64 << 20).hot_copies(copies);
    let hour = |builder: crate::EngineBuilder| {
        builder.read_timeout(secs(3600)).write_timeout(secs(3600)).event_capacity(EVENTS)
    };
    // Time jumps, which to the nodes is as if all of them had been paused.
    let timing = Timing { suspicion: secs(365 * 86_400), ..Timing::default() };
    let nodes = Nodes::apart_by(timing, 3, clock.clone(), keyspace, hour).await;
    nodes.all_see(0..3).await;
    // Each handle is on another node.
    let services: Vec<_> = nodes.engines.iter().map(|engine| engine.service(KS).unwrap()).collect();
    let mut followed = Vec::new();
    for service in &services {
        followed.push(follows(service).await);
    }
    let (next, leaf) = (AtomicUsize::new(0), services[0].clone());
    let config = NearConfig::new(32 << 20).unwrap().with_clock(clock.clone());
    let subject = ManualSubject::new(clock, move || {
        let stack = Stack::over(Remote(services[next.fetch_add(1, Relaxed) % services.len()].clone()));
        if near { stack.near(config.clone()).build() } else { stack.build() }
    });
    let mut capabilities = Capabilities::default();
    capabilities.stream_capacity = Some(EVENTS);
    let report = conformance::run(&subject.with_coherence(leaf).with_capabilities(capabilities)).await;
    report.assert_ok();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_of_three_nodes_keeps_every_rule() {
    keeps_every_rule(false).await;
}

#[tokio::test(start_paused = true)]
async fn near_caches_over_an_engine_of_three_nodes_keep_every_rule() {
    keeps_every_rule(true).await;
}
