//! Core's suite, unchanged, over every kind of deployment; no case is skipped.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, atomic::{AtomicUsize, Ordering}},
    thread,
    time::Duration,
};

use futures_util::StreamExt;
use memstache_core::{
    Clock, Coherence, ErasedService, Invalidation, InvalidationStream, NearConfig, Stack, StoreService, SystemClock,
    testing::conformance::{self, Capabilities, Subject, Verdict},
};
use memstache_redis::RedisStore;

use super::kit;

const UNIT: Duration = Duration::from_millis(300);
const SLACK: Duration = Duration::from_millis(80);
/// How long a change may take to be heard of.
const SETTLE: Duration = Duration::from_millis(30);
const CAPACITY: usize = 64;
/// Cases wait for time to pass, so many run beside each other.
const THREADS: usize = 12;

/// Two stores over one deployment, as two processes would have them.
struct Two {
    stores: [RedisStore; 2],
    near: bool,
    next: AtomicUsize,
}

impl Two {
    async fn new(url: &str, near: bool) -> Self {
        let builder = kit::builder(url).lease_ttl(4 * UNIT).event_capacity(CAPACITY);
        let stores = [kit::store(builder.clone()).await, kit::store(builder).await];
        for store in &stores {
            // From the first change on.
            let mut changes = store.subscribe();
            store.ready(kit::PATIENCE).await.expect("listeners");
            while changes.next().await != Some(Invalidation::Gap) {}
        }
        Self { stores, near, next: AtomicUsize::new(0) }
    }
}

impl Subject for Two {
    async fn service(&self) -> ErasedService {
        let store = self.stores[self.next.fetch_add(1, Ordering::Relaxed) % 2].clone();
        let stack = Stack::over(StoreService::new(store));
        if self.near { stack.near(NearConfig::new(1 << 20).expect("a size")).build() } else { stack.build() }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock::new())
    }

    async fn advance(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    async fn settle(&self) {
        tokio::time::sleep(SETTLE).await;
    }

    fn subscribe(&self) -> Option<InvalidationStream> {
        Some(self.stores[0].subscribe())
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.unit = UNIT;
        capabilities.slack = SLACK;
        capabilities.bound = Duration::from_secs(90);
        // A few more than it holds: the last changes may still be on their way.
        capabilities.stream_capacity = Some(CAPACITY + 16);
        capabilities
    }
}

/// Runs all cases, each over stores and a prefix of its own.
fn run(url: &str, near: bool) {
    let cases: Mutex<VecDeque<_>> = Mutex::new(conformance::cases().into());
    let (count, passed) = (cases.lock().expect("no poison").len(), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                loop {
                    let Some(case) = cases.lock().expect("no poison").pop_front() else { return };
                    let report = runtime.block_on(async { conformance::run_case(&Two::new(url, near).await, case).await });
                    let results = report.results();
                    // Skipped is not passed.
                    let good = results.iter().filter(|result| matches!(result.verdict, Verdict::Passed)).count();
                    if good == 2 && results.len() == 2 {
                        passed.fetch_add(1, Ordering::Relaxed);
                    } else {
                        failures.lock().expect("no poison").push(format!("{report}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no poison");
    assert!(failures.is_empty(), "{} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(passed.into_inner(), count, "every case, none skipped");
}

#[test]
fn one_server() {
    run(&kit::single(), false);
}

#[test]
fn one_server_with_near_caches() {
    run(&kit::single(), true);
}
