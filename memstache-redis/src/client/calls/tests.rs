//! The lists, and what a subscriber and a registry see of commands.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::pending,
};

use memstache_core::{BoxFuture, observe::Registry, testing::ManualClock};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _, registry::LookupSpan};

use super::*;
use crate::{
    client::{Client, Gather, Guarded, Node, Reply, Topology},
    script::Scripts,
};

#[test]
fn the_readme_lists_every_command_and_error() {
    let readme = include_str!("../../../README.md");
    let row = |begin: &str| readme.lines().find(|line| line.starts_with(begin)).expect("a row of the table");
    let words = |begin: &str| -> BTreeSet<_> {
        let cell = row(begin).split('|').nth(2).expect("its values");
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let of = |word: fn(&DatabaseCommand) -> &'static str| -> BTreeSet<_> {
        COMMANDS.iter().map(word).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    assert_eq!(words("| `db.operation.name` |"), of(|command| command.operation));
    assert_eq!(words("| `db.stored_procedure.name` |"), of(|command| command.procedure));
    assert_eq!(words("| `error.type` |"), ERRORS.iter().map(|error| (*error).to_owned()).collect());
}

#[test]
fn every_script_has_its_place() {
    let scripts = Scripts::new();
    for script in scripts.all() {
        for command in [script.call(&[], &[]), script.teach(&[], &[])] {
            let known = |it: &DatabaseCommand| it.operation == command.name && it.procedure == command.script;
            assert!(COMMANDS.iter().any(known), "{} {}", command.name, command.script);
        }
    }
}

#[test]
fn what_a_server_makes_up_is_one_error() {
    let server = |code: &str| error_of(&Failure::Server(code.to_owned()));
    assert_eq!([server("OOM"), server("SECRET"), server("")], ["OOM", OTHER, OTHER]);
    assert!(ERRORS.contains(&error_of(&Failure::Full)) && ERRORS.contains(&CANCELLED));
}

/// Answers by the name of the command.
#[derive(Debug)]
struct ByName(ManualClock);

impl Client for ByName {
    fn send(&self, _: u16, command: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
        self.0.advance(Duration::from_millis(3));
        match command.name {
            "MGET" => Box::pin(async move {
                tokio::task::yield_now().await;
                Ok(Reply::Array(vec![Reply::Nil; command.args.len()]))
            }),
            "EVALSHA" => Box::pin(async { Err(Failure::Server("OOM".to_owned())) }),
            "GET" => Box::pin(async { Err(Failure::Server("Secret".to_owned())) }),
            _ => Box::pin(pending()),
        }
    }
    fn topology(&self) -> Arc<Topology> {
        Arc::new(Topology { cluster: false, nodes: vec![Node::new("redis.local".into(), 6379, None)] })
    }
    fn database(&self) -> u8 {
        7
    }
    fn reconnect(&self, _: u16) {}
    fn close(&self) {}
}

/// What a span is told, with its name as `name` and that of its parent as `parent`.
type Told = BTreeMap<String, String>;

/// Keeps what spans are told, by the order in which they end.
#[derive(Clone, Default)]
struct Keeps(Arc<Mutex<Vec<Told>>>);

struct Into<'a>(&'a mut Told);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keeps {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).expect("a new span");
        let mut told = Told::from([("name".to_owned(), span.name().to_owned())]);
        told.extend(span.parent().map(|parent| ("parent".to_owned(), parent.name().to_owned())));
        attributes.record(&mut Into(&mut told));
        span.extensions_mut().insert(told);
    }
    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("an open span");
        values.record(&mut Into(span.extensions_mut().get_mut().expect("told before")));
    }
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let told = context.span(&id).and_then(|span| span.extensions_mut().remove::<Told>());
        self.0.lock().extend(told);
    }
}

fn told(words: &[(&str, &str)]) -> Told {
    let always = [
        ("otel.kind", "client"),
        ("db.system.name", "redis"),
        ("db.namespace", "7"),
        ("server.address", "redis.local"),
        ("server.port", "6379"),
    ];
    always.iter().chain(words).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn each_command_has_a_span_and_a_time_and_tells_no_key() {
    let keeps = Keeps::default();
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(keeps.clone()));
    let clock = ManualClock::new();
    let guarded = Guarded::new(Arc::new(ByName(clock.clone())), Arc::new(clock), Handle::current());
    let second = Duration::from_secs(1);
    let key = || ["key-of-somebody".into()];
    let gather = Gather::new(guarded.clone(), Handle::current());
    let caller = tracing::debug_span!("caller");
    // The first is alone and goes at once; of the others, the one that sends has the span.
    let reads = [Span::none(), caller.clone(), Span::none()]
        .map(|span| tracing::Instrument::instrument(gather.read(0, 0, key().into(), second), span));
    assert!(futures_util::future::join_all(reads).await.iter().all(Result::is_ok));
    let script = Scripts::new().set.call(&key(), &[]);
    assert!(guarded.send(0, script, second).await.is_err());
    assert!(guarded.send(0, Command::new("GET", key()), second).await.is_err());
    let mut left = guarded.send(0, Command::new("TIME", []), second);
    assert!(futures_util::poll!(&mut left).is_pending());
    drop(left);
    let spans = keeps.0.lock().clone();
    assert_eq!(
        spans,
        [
            told(&[("name", "MGET"), ("db.operation.name", "MGET")]),
            told(&[("name", "MGET"), ("parent", "caller"), ("db.operation.name", "MGET")]),
            told(&[
                ("name", "EVALSHA set"),
                ("db.operation.name", "EVALSHA"),
                ("db.stored_procedure.name", "set"),
                ("db.response.status_code", "OOM"),
                ("error.type", "OOM"),
            ]),
            told(&[
                ("name", "GET"),
                ("db.operation.name", "GET"),
                ("db.response.status_code", "Secret"),
                ("error.type", "_OTHER"),
            ]),
            told(&[("name", "TIME"), ("db.operation.name", "TIME"), ("error.type", "cancelled")]),
        ]
    );
    let registry = Registry::new();
    registry.watch_database("items", guarded.times()).unwrap();
    let text = registry.prometheus_text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("_sum{")).collect();
    assert_eq!(
        lines,
        [
            "db_client_operation_duration_seconds_sum{memstache_cache=\"items\",db_system_name=\"redis\",\
             db_operation_name=\"MGET\"} 0.006",
            "db_client_operation_duration_seconds_sum{memstache_cache=\"items\",db_system_name=\"redis\",\
             db_operation_name=\"EVALSHA\",db_stored_procedure_name=\"set\",error_type=\"OOM\"} 0.003",
            "db_client_operation_duration_seconds_sum{memstache_cache=\"items\",db_system_name=\"redis\",\
             db_operation_name=\"TIME\",error_type=\"cancelled\"} 0.003",
            "db_client_operation_duration_seconds_sum{memstache_cache=\"items\",db_system_name=\"redis\",\
             db_operation_name=\"GET\",error_type=\"_OTHER\"} 0.003",
        ]
    );
}
