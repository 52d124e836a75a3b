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

use futures_util::{StreamExt, future::join_all};
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
/// How often servers are asked how they are, which takes two round trips. A read waits after three: for its line, to look,
/// and to say that it waits.
const ASKED: usize = 2;
const CAPACITY: usize = 64;
/// Cases wait for time to pass, so many run beside each other.
const THREADS: usize = 32;

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
        // A busy machine takes longer. Connections keep the order: what was sent before these is answered before them.
        for _ in 0..ASKED {
            let health = join_all(self.stores.iter().map(RedisStore::health)).await;
            let mut servers = health.iter().flat_map(|health| &health.servers);
            assert!(servers.all(|server| server.up), "{health:?}");
        }
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

/// A kind of deployment, and whether it is read through near caches.
struct Deployment {
    name: &'static str,
    url: String,
    near: bool,
}

/// One server and a cluster, with near caches.
#[test]
fn with_near_caches() {
    run(&[
        deployment("one server with near caches", kit::single(), true),
        deployment("a cluster with near caches", kit::url("MEMSTACHE_REDIS_CLUSTER_URL"), true),
    ]);
}

/// The others: `cargo xtask test -p memstache-redis --run-ignored only the_other_deployments`.
#[test]
#[ignore = "takes minutes; what they have in common with the others is tested there"]
fn the_other_deployments() {
    run(&[
        deployment("one server", kit::single(), false),
        deployment("Sentinel", kit::url("MEMSTACHE_SENTINEL_URL"), false),
        deployment("one server over TLS", kit::url("MEMSTACHE_REDIS_TLS_URL"), false),
        deployment("a cluster", kit::url("MEMSTACHE_REDIS_CLUSTER_URL"), false),
        deployment("a cluster over TLS", kit::url("MEMSTACHE_REDIS_CLUSTER_TLS_URL"), false),
    ]);
}

fn deployment(name: &'static str, url: String, near: bool) -> Deployment {
    Deployment { name, url, near }
}

/// Runs the suite over each of them, all at once: cases wait for time to pass, and one after the other takes minutes.
fn run(deployments: &[Deployment]) {
    let all = conformance::cases().into_iter().flat_map(|case| deployments.iter().map(move |on| (case, on)));
    let all: VecDeque<_> = all.collect();
    let (count, cases, failures) = (all.len(), Mutex::new(all), Mutex::new(Vec::new()));
    let passed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some((case, on)) = cases.lock().expect("no poison").pop_front() else { return };
                    match attempt(case, on) {
                        Ok(()) => drop(passed.fetch_add(1, Ordering::Relaxed)),
                        Err(report) => {
                            failures.lock().expect("no poison").push(format!("over {}:\n{report}", on.name));
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no poison");
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(passed.into_inner(), count, "every case, none skipped");
}

/// Runs a case, for near and authority reads. Skipped is not passed.
fn attempt(case: &'static str, on: &Deployment) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(async { conformance::run_case(&Two::new(&on.url, on.near, case).await, case).await });
    let results = report.results();
    let good = results.iter().filter(|result| matches!(result.verdict, Verdict::Passed)).count();
    if good == 2 && results.len() == 2 { Ok(()) } else { Err(report.to_string()) }
}
