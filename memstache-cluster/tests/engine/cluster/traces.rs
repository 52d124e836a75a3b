//! One trace over two nodes.

use std::sync::{Arc, Mutex};

use memstache_cluster::{ClusterConfig, Engine, Member, MemberState, membership::StaticMembership, net::SimNetwork};
use memstache_core::observe::{Propagator, TraceContext};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt as _},
    registry::LookupSpan,
};

use crate::kit::*;

const TRACE: u128 = 42;

/// A span as it began.
#[derive(Clone, Debug, Default)]
struct Seen {
    id: u64,
    name: &'static str,
    parent: Option<u64>,
    /// Of another node.
    remote: Option<TraceContext>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "memstache.parent" {
            self.remote = format!("{value:?}").parse().ok();
        }
    }
}

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.span(id).and_then(|span| span.parent()).map(|parent| parent.id().into_u64());
        let mut seen = Seen { id: id.into_u64(), name: attributes.metadata().name(), parent, remote: None };
        attributes.record(&mut seen);
        self.0.lock().unwrap().push(seen);
    }
}

/// A tracer of three lines.
#[derive(Debug)]
struct Current;

impl Propagator for Current {
    fn current(&self) -> Option<TraceContext> {
        let id = tracing::Span::current().id()?;
        Some(TraceContext { trace_id: TRACE, span_id: id.into_u64(), flags: 1 })
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_owner_does_belongs_to_the_trace_of_who_asked() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let network = SimNetwork::new(4);
    let member = |n: u8| Member::at(([10, 0, 0, n + 1], 3320).into()).with_state(MemberState::Active);
    let mut engines = Vec::new();
    for n in 0..2 {
        let cluster = ClusterConfig::new("test", member(n), StaticMembership::new(member(n), [member(1 - n)]))
            .transport(network.host(member(n).address.ip()))
            .bind(member(n).address)
            .insecure();
        let keyspace = sourced(&Counting::default()).build().unwrap();
        let engine = Engine::builder().keyspace(keyspace).cluster(cluster).propagator(Current).build().unwrap();
        engine.start().await.unwrap();
        engines.push(engine);
    }
    tokio::time::sleep(secs(4)).await;
    // A place that another thread met first, just when this subscriber was made, may have been taken for unheard.
    tracing::callsite::rebuild_interest_cache();
    spans.0.lock().unwrap().clear();
    for n in 0..20 {
        assert!(read(&engines[0], &format!("k{n}")).await.is_some());
    }
    let seen = spans.0.lock().unwrap().clone();
    let named = |name: &str| seen.iter().filter(|span| span.name == name).cloned().collect::<Vec<_>>();
    let gets = named("memstache.get");
    assert!(gets.len() >= 20, "one for each read");
    let calls: Vec<_> =
        named("memstache.call").into_iter().filter(|call| gets.iter().any(|get| Some(get.id) == call.parent)).collect();
    assert!(!calls.is_empty() && calls.len() < 20, "{} of 20 keys are the other's", calls.len());
    for call in &calls {
        let context = TraceContext { trace_id: TRACE, span_id: call.id, flags: 1 };
        let served = named("memstache.serve").into_iter().filter(|span| span.remote == Some(context)).count();
        assert_eq!(served, 1, "the owner goes on with the trace of the call");
    }
    let serves: Vec<u64> = named("memstache.serve").iter().map(|span| span.id).collect();
    let loads = named("memstache.load");
    assert_eq!(loads.len(), 20);
    let remote = loads.iter().filter(|load| load.parent.is_some_and(|parent| serves.contains(&parent))).count();
    assert_eq!(remote, calls.len(), "and what it loads belongs to it");
}
