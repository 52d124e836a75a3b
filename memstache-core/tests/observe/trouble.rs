//! Collectors that are dead, hang, are slow or refuse: nobody waits, and what is lost is counted.

use std::time::Duration;

use memstache_core::{
    Cache, Clock as _, Json, MemoryStore, Stack, SystemClock,
    observe::{ObserveLayer, Registry},
    telemetry::{Telemetry, TelemetryStats},
    testing::{Gate, ManualClock},
};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::collector::{Answer, Collector};

/// Calls a cache whose spans and metrics go to `telemetry`, on a clock that stands: whatever waited would hang.
fn calls(telemetry: &Telemetry, count: u64) {
    let recorder = telemetry.registry().recorder("products").unwrap();
    let clock = ManualClock::new();
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    let observe = ObserveLayer::new(recorder.clone()).with_clock(clock.clone());
    let cache = Cache::builder(Stack::over(store).observe(observe).build()).keyspace("k").format(Json);
    let cache = cache.clock(clock).recorder(recorder).build().unwrap();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(telemetry.layer()));
    for n in 0..count {
        let mut call = tokio_test::task::spawn(cache.get::<u64>(n.to_string()));
        assert!(call.poll().is_ready(), "at once, whatever the collector does");
    }
}

/// What the registry tells of dropped spans and exports.
fn dropped(registry: &Registry) -> [u64; 2] {
    let text = registry.prometheus_text();
    ["traces", "metrics"].map(|signal| {
        let name = format!("memstache_telemetry_dropped_total{{memstache_signal=\"{signal}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    })
}

fn all(stats: TelemetryStats) -> (u64, u64) {
    (stats.spans_delivered + stats.spans_dropped, stats.exports_delivered + stats.exports_dropped)
}

#[tokio::test]
async fn a_dead_collector_loses_all_of_it_and_each_is_counted() {
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let telemetry = Telemetry::builder("shop").collector(dead).queue(100_000).build().unwrap();
    calls(&telemetry, 3000);
    let stats = telemetry.flush().await.unwrap();
    assert_eq!((stats.spans_dropped, stats.exports_dropped, all(stats)), (3000, 1, (3000, 1)));
    assert_eq!(dropped(telemetry.registry()), [3000, 1]);
    let text = telemetry.registry().prometheus_text();
    assert!(text.contains("memstache_operation_duration_seconds_count{memstache_cache=\"products\",memstache_operation=\"get\",memstache_result=\"ok\"} 3000\n"));
}

#[tokio::test]
async fn a_hanging_collector_is_given_up_within_the_bound() {
    let gate = Gate::new();
    let mut collector = Collector::start(Answer::Gated(gate.clone())).await;
    let (clock, bound) = (SystemClock::new(), Duration::from_millis(200));
    let telemetry = Telemetry::builder("shop").collector(collector.url()).queue(100_000).flush_within(bound);
    let telemetry = telemetry.timeout(Duration::from_secs(60)).build().unwrap();
    let registry = telemetry.registry().clone();
    calls(&telemetry, 10_000);
    // It has the first batch, and sits on it; eight more wait, and the rest is dropped.
    assert_eq!(collector.next().await.path, "/v1/traces");
    let began = clock.elapsed();
    assert_eq!(telemetry.shutdown().await.spans_delivered, 0);
    let took = clock.elapsed() - began;
    assert!(took >= bound && took < Duration::from_secs(10), "{took:?}");
    // On a machine that is busy enough, the thread counts a moment later.
    let counted = async {
        while dropped(&registry) != [10_000, 1] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), counted).await.expect("each is counted");
}

#[tokio::test]
async fn a_slow_collector_gets_what_it_can_take_and_the_rest_is_counted() {
    let gate = Gate::new();
    let mut collector = Collector::start(Answer::Gated(gate.clone())).await;
    let mut quick = Collector::start(Answer::Accept).await;
    let telemetry = Telemetry::builder("shop").jaeger(collector.url()).zipkin(quick.url());
    let telemetry = telemetry.queue(100_000).flush_within(Duration::from_secs(60)).build().unwrap();
    calls(&telemetry, 8192);
    assert_eq!(collector.next().await.path, "/v1/traces");
    // Sixteen batches: one is under way, eight have a place; the other collector gets what it can.
    while telemetry.stats().spans_dropped == 0 {
        quick.next().await;
    }
    gate.open();
    let stats = telemetry.flush().await.unwrap();
    assert_eq!(all(stats).0, 2 * 8192, "each span, once for each collector");
    assert!(stats.spans_delivered > 512 && stats.spans_dropped >= 512, "{stats:?}");
    telemetry.shutdown().await;
}

#[tokio::test]
async fn what_a_collector_refuses_is_dropped() {
    for (answer, delivered, dropped) in [
        (Answer::Status(503), 0, 10),
        (Answer::Status(404), 0, 10),
        (Answer::Refuse(3), 7, 3),
        (Answer::Refuse(99), 0, 10),
    ] {
        let collector = Collector::start(answer).await;
        let telemetry = Telemetry::builder("shop").jaeger(collector.url()).build().unwrap();
        calls(&telemetry, 10);
        let stats = telemetry.shutdown().await;
        assert_eq!((stats.spans_delivered, stats.spans_dropped), (delivered, dropped));
    }
}

/// Ends so many spans of the application.
fn spans(telemetry: &Telemetry, count: usize) {
    let subscriber = tracing_subscriber::registry().with(telemetry.layer());
    tracing::subscriber::with_default(subscriber, || {
        (0..count).for_each(|_| tracing::info_span!("work").in_scope(|| ()));
    });
}

/// Waits until it is so: the thread counts a moment later than it is seen elsewhere.
async fn wait_until(mut so: impl FnMut() -> bool) {
    let so = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), so).await.expect("it comes to be so");
}

#[tokio::test]
async fn what_ends_after_the_end_is_dropped_and_counted() {
    let collector = Collector::start(Answer::Accept).await;
    let telemetry = Telemetry::builder("shop").jaeger(collector.url()).build().unwrap();
    let (layer, registry) = (telemetry.layer(), telemetry.registry().clone());
    spans(&telemetry, 2);
    let stats = telemetry.shutdown().await;
    assert_eq!((stats.spans_delivered, stats.spans_dropped), (2, 0));
    let other = Telemetry::builder("shop").jaeger(collector.url()).build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        (0..3).for_each(|_| tracing::info_span!("too late").in_scope(|| ()));
    });
    assert_eq!(dropped(&registry), [3, 0]);
    assert_eq!(other.stats(), TelemetryStats::default(), "of the other one nothing");
}

#[tokio::test]
async fn what_finds_the_queue_full_is_dropped_and_counted() {
    const SPANS: usize = 20_000;
    let collector = Collector::start(Answer::Accept).await;
    let telemetry = Telemetry::builder("shop").jaeger(collector.url()).queue(4).build().unwrap();
    spans(&telemetry, SPANS);
    let stats = telemetry.flush().await.unwrap();
    assert_eq!(stats.spans_delivered + stats.spans_dropped, SPANS as u64, "{stats:?}");
    assert!(stats.spans_delivered > 0 && stats.spans_dropped > 0, "{stats:?}");
    assert_eq!(dropped(telemetry.registry()), [stats.spans_dropped, 0]);
}

#[tokio::test]
async fn each_export_that_takes_too_long_is_given_up_and_those_after_it_arrive() {
    let gate = Gate::new();
    let mut collector = Collector::start(Answer::Gated(gate.clone())).await;
    let telemetry = Telemetry::builder("shop").jaeger(collector.url()).timeout(Duration::from_millis(50));
    let telemetry = telemetry.build().unwrap();
    for given_up in 1..=3 {
        spans(&telemetry, 1);
        let stats = telemetry.flush().await.unwrap();
        assert_eq!((stats.spans_delivered, stats.spans_dropped), (0, given_up));
        assert_eq!(collector.next().await.path, "/v1/traces", "it was sent");
    }
    gate.open();
    // On a machine that is busy enough, 50 ms may be too short for an open gate too: then once more.
    let arrives = async {
        while telemetry.stats().spans_delivered == 0 {
            spans(&telemetry, 1);
            telemetry.flush().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), arrives).await.expect("those after it arrive");
    telemetry.shutdown().await;
}

#[tokio::test]
async fn metrics_are_exported_at_the_interval_without_being_asked_for() {
    let mut collector = Collector::start(Answer::Accept).await;
    let telemetry = Telemetry::builder("shop").collector(collector.url()).interval(Duration::from_millis(100));
    let telemetry = telemetry.build().unwrap();
    for _ in 0..3 {
        assert_eq!(collector.next().await.path, "/v1/metrics");
    }
    wait_until(|| telemetry.stats().exports_delivered >= 3).await;
    assert_eq!(telemetry.stats().exports_dropped, 0);
}

#[test]
fn a_dropped_guard_blocks_no_longer_than_its_bound() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let gate = Gate::new();
    let collector = runtime.block_on(Collector::start(Answer::Gated(gate)));
    let telemetry = Telemetry::builder("shop").collector(collector.url()).flush_within(Duration::from_millis(50));
    let telemetry = telemetry.build().unwrap();
    let (clock, registry) = (SystemClock::new(), telemetry.registry().clone());
    let began = clock.elapsed();
    drop(telemetry);
    let took = clock.elapsed() - began;
    assert!(took >= Duration::from_millis(50) && took < Duration::from_secs(10), "{took:?}");
    assert_eq!(dropped(&registry), [0, 1]);
}

#[test]
fn every_wrong_setting_is_named() {
    let error = Telemetry::builder("")
        .jaeger("https://jaeger")
        .attribute("", "x")
        .sample(1.5)
        .interval(Duration::ZERO)
        .timeout(Duration::from_secs(61))
        .flush_within(Duration::ZERO)
        .queue(0)
        .build()
        .unwrap_err()
        .to_string();
    for part in [
        "service must be 1 to 256 bytes long, but 0 bytes was given",
        "jaeger must be a URL like http://localhost:4318, but one of https",
        "attribute must be a name and a value of at most 256 bytes, but 0 and 1 bytes was given",
        "sample must be from 0 to 1, but 1.5 was given",
        "interval must be from 100 ms to 1 h, but 0ns was given",
        "timeout must be from 1 ms to 60 s, but 61s was given",
        "flush_within must be from 1 ms to 60 s, but 0ns was given",
        "queue must be from 1 to 1000000, but 0 was given",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let nowhere = Telemetry::builder("shop").build().unwrap_err().to_string();
    assert!(nowhere.contains("telemetry must be sent somewhere"), "{nowhere}");
}

#[tokio::test]
async fn a_registry_belongs_to_one_guard() {
    let one = Telemetry::builder("shop").prometheus().build().unwrap();
    let other = Telemetry::builder("shop").prometheus().registry(one.registry().clone()).build().unwrap_err();
    assert_eq!(other.to_string(), "the registry must be of one Telemetry only, but one of another was given");
    assert_eq!(one.flush().await.unwrap(), one.stats(), "there is nothing to wait for");
    assert!(
        one.prometheus_text().unwrap().contains("memstache_telemetry_dropped_total{memstache_signal=\"traces\"} 0")
    );
}
