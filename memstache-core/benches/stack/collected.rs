//! The same call with spans that go to a collector: one that answers, one that hangs, and one that is not there.

use std::{
    hint::black_box,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    rc::Rc,
    thread,
    time::Duration,
};

use memstache_core::{Cache, Json, Stack, observe::ObserveLayer, telemetry::Telemetry};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{row::Row, served::store, support::now};

pub(crate) const QUICK: &str = "its spans to a collector that answers";
pub(crate) const HANGING: &str = "its spans to a collector that hangs";
pub(crate) const DEAD: &str = "its spans to a collector that is dead";

/// What is measured, and where its spans go.
pub(crate) struct Collected(Vec<(&'static str, Rc<Telemetry>)>);

impl Collected {
    pub(crate) fn start() -> Self {
        let telemetry = |name, url: String| {
            // What is under way at the end is of no interest.
            let telemetry = Telemetry::builder("bench").collector(url).flush_within(Duration::from_millis(10));
            (name, Rc::new(telemetry.build().expect("good settings")))
        };
        Self(vec![
            telemetry(QUICK, serving(|connection| answer(&connection))),
            telemetry(HANGING, serving(|connection| hang(&connection))),
            telemetry(DEAD, nobody()),
        ])
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.0.iter().map(|(name, telemetry)| row(name, telemetry)).collect()
    }

    /// Shows that the collectors did what they are called by.
    pub(crate) fn assert_reached(&self) {
        for (name, telemetry) in &self.0 {
            let stats = telemetry.stats();
            println!("{name}: {} delivered, {} dropped", stats.spans_delivered, stats.spans_dropped);
            assert_eq!(stats.spans_delivered > 0, *name == QUICK, "{name}: {stats:?}");
        }
    }
}

fn row(name: &'static str, telemetry: &Rc<Telemetry>) -> Row {
    let telemetry = Rc::clone(telemetry);
    let recorder = telemetry.registry().recorder("k").expect("a name");
    let stack = Stack::over(store()).observe(ObserveLayer::new(recorder.clone())).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).recorder(recorder).build().expect("good settings");
    now(async { cache.set("user:7", &7u64).await }).expect("stored");
    let spans = Dispatch::new(tracing_subscriber::registry().with(telemetry.layer()));
    Row::new(name, 40, move || {
        tracing::dispatcher::with_default(&spans, || {
            assert_eq!(black_box(now(cache.get::<u64>("user:7"))).expect("found"), Some(7));
        });
    })
}

/// Starts a server that does the same with each connection; returns its address.
fn serving(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(connection));
        }
    });
    url
}

/// Returns an address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

/// Keeps a connection open and reads nothing.
fn hang(connection: &TcpStream) {
    loop {
        thread::park();
        black_box(connection);
    }
}

/// Answers all requests of a connection.
fn answer(connection: &TcpStream) {
    let mut reader = BufReader::new(connection);
    while let Some(len) = body_len(&mut reader) {
        let mut body = vec![0; len];
        let answered = reader.read_exact(&mut body);
        let answered =
            answered.and_then(|()| (&mut &*connection).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        if answered.is_err() {
            return;
        }
    }
}

/// Reads the head of a request; returns how long its body is.
fn body_len(reader: &mut impl BufRead) -> Option<usize> {
    let mut len = None;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        match line.strip_prefix("content-length:") {
            Some(text) => len = text.trim().parse().ok(),
            None if line.is_empty() => return len,
            None => {}
        }
    }
}
