//! Spans and events: which there are, within which, and what they do not tell.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex},
};

use memstache_core::{Cache, Json, MemoryStore, Stack, observe::Registry};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use crate::workload::{self, SECRET};

/// Keeps every span and event, of every level.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    spans: HashMap<u64, Told>,
    events: Vec<Told>,
    ended: Vec<Told>,
}

#[derive(Clone, Debug, Default)]
struct Told {
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Kept {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.span(id).unwrap().parent().map(|parent| parent.name());
        let mut told = Told { name: attributes.metadata().name(), parent, fields: BTreeMap::new() };
        attributes.record(&mut told);
        self.0.lock().unwrap().spans.insert(id.into_u64(), told);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(self.0.lock().unwrap().spans.get_mut(&id.into_u64()).unwrap());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        self.0.lock().unwrap().events.push(told);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut state = self.0.lock().unwrap();
        let told = state.spans.remove(&id.into_u64()).unwrap();
        state.ended.push(told);
    }
}

#[tokio::test]
async fn spans_and_events_tell_no_name_and_no_value() {
    let kept = Kept::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(kept.clone()));
    let registry = Registry::new();
    workload::everything(registry.recorder("products").unwrap(), Some(&registry)).await;
    let state = kept.0.lock().unwrap();
    assert!(state.ended.len() > 20 && state.events.len() > 3, "{} {}", state.ended.len(), state.events.len());
    for told in state.ended.iter().chain(&state.events) {
        assert!(!format!("{told:?}").contains(SECRET), "{told:?}");
    }
    let fields = ["error.type", "memstache.items", "memstache.keyspace", "memstache.result"];
    for told in state.ended.iter().filter(|told| told.name.starts_with("memstache.")) {
        let others = told.fields.keys().filter(|name| !fields.contains(name)).count();
        assert!(others == 0 && told.fields.contains_key("memstache.result"), "{told:?}");
    }
}

#[tokio::test]
async fn a_loader_runs_within_its_load_within_its_caller() {
    let kept = Kept::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(kept.clone()));
    let stack = Stack::over(MemoryStore::builder().build().unwrap()).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    let load = |_| async {
        tracing::info_span!("the source's").in_scope(|| ());
        Ok::<_, std::io::Error>(7u8)
    };
    let call = async { cache.get_or_load("a", load).await };
    assert_eq!(tracing::Instrument::instrument(call, tracing::info_span!("the caller's")).await.unwrap(), 7);
    let many = |keys: Vec<&'static str>| async move {
        tracing::info_span!("the source's").in_scope(|| ());
        Ok::<_, std::io::Error>(keys.into_iter().map(|key| (key, 8u8)).collect::<Vec<_>>())
    };
    let loaded = cache.get_many_or_load(["b", "c"], many).await.unwrap();
    assert!(loaded.into_iter().all(|value| value.unwrap() == Some(8)));
    tokio::task::yield_now().await;
    let state = kept.0.lock().unwrap();
    let parents: BTreeSet<_> = state.ended.iter().map(|told| (told.name, told.parent)).collect();
    assert!(parents.contains(&("memstache.load", Some("the caller's"))), "{parents:?}");
    assert!(parents.contains(&("memstache.load", None)), "{parents:?}");
    assert!(parents.contains(&("the source's", Some("memstache.load"))), "{parents:?}");
    let items: Vec<_> = state.ended.iter().filter_map(|told| told.fields.get("memstache.items")).collect();
    assert_eq!(items, ["1", "2"]);
}
