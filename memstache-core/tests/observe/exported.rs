//! What a collector receives.

use std::collections::BTreeSet;

use bytes::Bytes;
use memstache_core::{
    observe::{Attribute, INSTRUMENTS, InstrumentKind, Propagator as _, TraceContext},
    telemetry::Telemetry,
};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{
    collector::{Answer, Collector, Message, Post},
    workload::{self, SECRET},
};

/// The messages of all posts to a path, below their resource and scope; with the resource's attributes.
fn scoped(posts: &[Post], path: &str) -> (Vec<(String, String)>, Vec<Message>) {
    let mut resource = Vec::new();
    let mut messages = Vec::new();
    for post in posts.iter().filter(|post| post.path == path) {
        for resources in Message::parse(&post.body).all(1) {
            resource = resources.one(1).attributes(1);
            for scopes in resources.all(2) {
                assert_eq!(scopes.one(1).text(1), "memstache-core");
                messages.extend(scopes.all(2));
            }
        }
    }
    (resource, messages)
}

async fn exported() -> Vec<Post> {
    let mut collector = Collector::start(Answer::Accept).await;
    let telemetry = Telemetry::builder("shop").collector(collector.url()).attribute("zone", "north").build().unwrap();
    let subscriber = tracing_subscriber::registry().with(telemetry.layer());
    let guard = tracing::subscriber::set_default(subscriber);
    let recorder = telemetry.registry().recorder("products").unwrap();
    {
        let outer = tracing::info_span!("outer", otel.kind = "server", answer = 42);
        let _entered = outer.enter();
        tracing::info!(step = 7, "it goes on");
        tracing::debug_span!("of no interest").in_scope(|| tracing::info_span!("inner").in_scope(|| ()));
    }
    workload::everything(recorder, Some(telemetry.registry())).await;
    drop(guard);
    let stats = telemetry.shutdown().await;
    assert_eq!((stats.spans_dropped, stats.exports_dropped, stats.exports_delivered), (0, 0, 1));
    assert!(stats.spans_delivered > 20, "{stats:?}");
    let posts = collector.posts();
    let (_, spans) = scoped(&posts, "/v1/traces");
    assert_eq!(spans.len() as u64, stats.spans_delivered);
    posts
}

#[tokio::test]
async fn every_instrument_of_the_table_and_no_other_is_exported_as_the_table_says() {
    let posts = exported().await;
    let (resource, metrics) = scoped(&posts, "/v1/metrics");
    let has = |name: &str, value: &str| resource.iter().any(|it| (it.0.as_str(), it.1.as_str()) == (name, value));
    assert!(
        has("service.name", "shop") && has("zone", "north") && has("telemetry.sdk.language", "rust"),
        "{resource:?}"
    );
    assert_eq!(metrics.len(), INSTRUMENTS.len());
    for (metric, instrument) in metrics.iter().zip(INSTRUMENTS) {
        assert_eq!((metric.text(1), metric.text(2)), (instrument.name.to_owned(), instrument.description.to_owned()));
        assert_eq!(metric.text(3), instrument.unit, "{}", instrument.name);
        let (data, attributes) = match instrument.kind {
            InstrumentKind::Gauge => (5, 7),
            InstrumentKind::Counter => (7, 7),
            InstrumentKind::Histogram => (9, 9),
            other => panic!("nobody knows {other}"),
        };
        let data = metric.one(data);
        if instrument.kind != InstrumentKind::Gauge {
            assert_eq!(data.number(2), 2, "cumulative");
        }
        assert_eq!(data.number(3), u64::from(instrument.kind == InstrumentKind::Counter), "monotonic");
        for point in data.all(1) {
            let attributes = point.attributes(attributes);
            let names: Vec<_> = attributes.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, instrument.attributes.iter().map(|it| it.name()).collect::<Vec<_>>());
            for ((_, value), attribute) in attributes.iter().zip(instrument.attributes) {
                match attribute {
                    Attribute::Cache => assert_eq!(value, "products"),
                    Attribute::Tenant => assert_eq!(value, "(other)"),
                    Attribute::DbSystem => assert_eq!(value, "redis"),
                    Attribute::DbOperation => assert_eq!(value, "EVALSHA"),
                    Attribute::DbProcedure => assert_eq!(value, "set"),
                    Attribute::DbErrorType => assert_eq!(value, "timeout"),
                    known => assert!(known.values().unwrap().contains(&value.as_str()), "{value}"),
                }
            }
            assert!(0 < point.number(2) && point.number(2) <= point.number(3), "begins before it ends");
            if instrument.kind == InstrumentKind::Histogram {
                let (counts, bounds) = (&point.bytes(6)[0], &point.bytes(7)[0]);
                assert_eq!((counts.len() / 8, bounds.len() / 8), (23, 22));
                let sum: u64 = counts.chunks(8).map(|it| u64::from_le_bytes(it.try_into().unwrap())).sum();
                assert_eq!(sum, point.number(4));
            }
        }
    }
}

#[tokio::test]
async fn spans_are_exported_with_their_parents_names_and_attributes() {
    let posts = exported().await;
    let (_, spans) = scoped(&posts, "/v1/traces");
    let named = |name: &str| spans.iter().find(|span| span.text(5) == name).unwrap_or_else(|| panic!("no {name}"));
    let names: BTreeSet<_> = spans.iter().map(|span| span.text(5)).collect();
    let own = ["explain", "get", "invalidate", "load", "remove", "set", "touch"].map(|it| format!("memstache.{it}"));
    let all: BTreeSet<_> = own.into_iter().chain(["inner".to_owned(), "outer".to_owned()]).collect();
    assert_eq!(names, all);

    let (outer, inner) = (named("outer"), named("inner"));
    assert_eq!((outer.number(6), inner.number(6)), (2, 1), "a server's, and an internal one");
    assert!(!outer.has(4) && outer.bytes(1)[0].len() == 16 && outer.bytes(2)[0].len() == 8);
    assert_eq!(inner.bytes(4), outer.bytes(2), "a span that is not taken is passed over");
    assert_eq!(inner.bytes(1), outer.bytes(1));
    assert_eq!(outer.attributes(9), [("answer".to_owned(), "42".to_owned())]);
    let event = outer.one(11);
    assert_eq!(
        (event.text(2), event.attributes(3)),
        ("it goes on".to_owned(), vec![("step".to_owned(), "7".to_owned())])
    );

    for span in &spans {
        assert!(span.number(7) > 0 && span.number(7) <= span.number(8));
        let attributes = span.attributes(9);
        if span.text(5).starts_with("memstache.") {
            assert!(attributes.contains(&("memstache.keyspace".to_owned(), "k".to_owned())), "{attributes:?}");
            assert!(attributes.iter().any(|(name, _)| name == "memstache.result"));
            let failed = attributes.iter().any(|(name, _)| name == "error.type");
            assert_eq!(failed, span.has(15), "a status if it failed: {attributes:?}");
        }
    }
    assert!(spans.iter().any(|span| span.attributes(9).contains(&("error.type".to_owned(), "unavailable".to_owned()))));
    assert!(
        spans.iter().any(|span| span.attributes(9).contains(&("memstache.result".to_owned(), "cancelled".to_owned())))
    );
}

#[tokio::test]
async fn no_name_and_no_value_is_exported() {
    for post in exported().await {
        let found = post.body.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{}", post.path);
    }
}

#[tokio::test]
async fn jaeger_and_zipkin_get_spans_only() {
    let mut collectors = [Collector::start(Answer::Accept).await, Collector::start(Answer::Accept).await];
    let telemetry = Telemetry::builder("shop")
        .jaeger(collectors[0].url())
        .zipkin(format!("{}/zipkin/", collectors[1].url()))
        .build()
        .unwrap();
    assert_eq!(telemetry.prometheus_text(), None, "not chosen");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(telemetry.layer()), || {
        tracing::info_span!("one").in_scope(|| ());
    });
    assert_eq!(telemetry.flush().await.unwrap().spans_delivered, 2, "one for each");
    for (collector, path) in collectors.iter_mut().zip(["/v1/traces", "/zipkin/v1/traces"]) {
        assert_eq!(collector.next().await.path, path);
    }
    telemetry.shutdown().await;
    assert!(collectors.iter_mut().all(|collector| collector.posts().is_empty()));
}

#[tokio::test]
async fn a_trace_is_sampled_as_a_whole() {
    let collector = Collector::start(Answer::Accept).await;
    // Drawn by turns: the first trace is out, the second in; ids come from the same source.
    let draws = std::sync::atomic::AtomicU64::new(0);
    let random = move || if draws.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 { u64::MAX } else { 1 };
    let telemetry = Telemetry::builder("shop").collector(collector.url()).sample(0.5).random(random).build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(telemetry.layer()), || {
        for _ in 0..2 {
            tracing::info_span!("a").in_scope(|| tracing::info_span!("b").in_scope(|| ()));
        }
    });
    assert_eq!(telemetry.shutdown().await.spans_delivered, 2);
}

#[tokio::test]
async fn a_trace_goes_on_in_another_process() {
    let mut collector = Collector::start(Answer::Accept).await;
    let telemetry = Telemetry::builder("shop").collector(collector.url()).build().unwrap();
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(telemetry.layer()));
    assert_eq!(telemetry.layer().current(), None, "outside of all spans");
    let here = tracing::info_span!("here").in_scope(|| {
        let passed_over = tracing::trace_span!("of no interest");
        passed_over.in_scope(|| telemetry.layer().current()).unwrap()
    });
    assert!(here.is_sampled());
    tracing::info_span!("unrelated").in_scope(|| {
        tracing::info_span!("there", memstache.parent = %here)
            .in_scope(|| tracing::info_span!("below").in_scope(|| ()));
        let dropped = TraceContext { flags: 0, ..here };
        tracing::info_span!("nobody keeps", memstache.parent = %dropped).in_scope(|| ());
    });
    drop(guard);
    telemetry.shutdown().await;
    let (_, spans) = scoped(&collector.posts(), "/v1/traces");
    let named = |name: &str| spans.iter().find(|span| span.text(5) == name);
    let ids = |name: &str| {
        let span = named(name).unwrap_or_else(|| panic!("no {name}"));
        [1, 2, 4].map(|field| span.bytes(field).first().cloned().unwrap_or_default())
    };
    let [[trace, span, _], there, below] = ["here", "there", "below"].map(ids);
    assert_eq!(
        (trace.clone(), span.clone()),
        (Bytes::copy_from_slice(&here.trace_id.to_be_bytes()), Bytes::copy_from_slice(&here.span_id.to_be_bytes()))
    );
    assert_eq!((&there[0], &there[2]), (&trace, &span));
    assert_eq!((&below[0], &below[2]), (&trace, &there[1]));
    assert!(named("nobody keeps").is_none());
}
