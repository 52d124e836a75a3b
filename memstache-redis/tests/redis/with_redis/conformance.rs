//! Core's suite, unchanged, over every kind of deployment; no case is skipped.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
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

/// The unit of time, and how much a busy machine may be late; of all cases but the one that lets a hundred units pass and
/// asks for no moment.
const TIMES: (Duration, Duration) = (Duration::from_millis(1000), Duration::from_millis(250));
const LONG: (&str, Duration, Duration) =
    ("a_value_without_ttl_lives_on", Duration::from_millis(50), Duration::from_millis(5));
/// How long a change may take to be heard of; less than half of what may be late.
const SETTLE: Duration = Duration::from_millis(60);
const CAPACITY: usize = 64;
/// Cases wait for time to pass, so many run beside each other.
const THREADS: usize = 12;

/// Two stores over one deployment, as two processes would have them.
struct Two {
    stores: [RedisStore; 2],
    near: bool,
    times: (Duration, Duration),
    next: AtomicUsize,
}

impl Two {
    async fn new(url: &str, near: bool, case: &str) -> Self {
        let times = if case == LONG.0 { (LONG.1, LONG.2) } else { TIMES };
        let builder = kit::builder(url).lease_ttl(3 * times.0).event_capacity(CAPACITY);
        let stores = [kit::store(builder.clone()).await, kit::store(builder).await];
        for store in &stores {
            // From the first change on.
            let mut changes = store.subscribe();
            store.ready(kit::PATIENCE).await.expect("listeners");
            while changes.next().await != Some(Invalidation::Gap) {}
        }
        Self { stores, near, times, next: AtomicUsize::new(0) }
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
        capabilities.unit = self.times.0;
        capabilities.slack = self.times.1;
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
                    let report =
                        runtime.block_on(async { conformance::run_case(&Two::new(url, near, case).await, case).await });
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
fn one_server_over_tls() {
    run(&kit::url("MEMSTACHE_REDIS_TLS_URL"), false);
}

#[test]
fn sentinel() {
    run(&kit::url("MEMSTACHE_SENTINEL_URL"), false);
}

#[test]
fn cluster() {
    run(&kit::url("MEMSTACHE_REDIS_CLUSTER_URL"), false);
}

#[test]
fn cluster_over_tls() {
    run(&kit::url("MEMSTACHE_REDIS_CLUSTER_TLS_URL"), false);
}

#[test]
fn cluster_with_near_caches() {
    run(&kit::url("MEMSTACHE_REDIS_CLUSTER_URL"), true);
}

#[test]
fn one_server_with_near_caches() {
    run(&kit::single(), true);
}
