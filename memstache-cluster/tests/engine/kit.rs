//! Sources that count, and engines over them.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering::SeqCst},
    time::Duration,
};

use memstache_cluster::{DataSource, Engine, Key, KeySpace, KeySpaceBuilder, Sourced};
use memstache_core::{BoxError, Clock as _, Error, ErrorKind, SystemClock, Tick};
use tokio::sync::{Notify, watch};

/// The one keyspace of most tests.
pub(crate) const KS: &str = "products";

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Tells how much of the test's time has passed.
pub(crate) struct Stopwatch(Tick);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(SystemClock::new().now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        SystemClock::new().now().since(self.0)
    }
}

/// A source that counts what it is asked for. What it does about a key is in the key's name.
///
/// `missing…` is missing, `notfound…` an error that says so, `fails…` fails, `panics…` panics, `hangs…` never answers,
/// `slow…` waits 100 ms, `gated…` waits for [`open`](Counting::open); anything else answers the name and how often it was asked.
#[derive(Clone, Default)]
pub(crate) struct Counting(Arc<State>);

#[derive(Default)]
struct State {
    asked: Mutex<HashMap<Vec<u8>, u64>>,
    batches: Mutex<Vec<usize>>,
    broken: Mutex<bool>,
    open: watch::Sender<bool>,
    begun: Notify,
    running: AtomicU64,
}

impl Counting {
    /// How often any key was asked for.
    pub(crate) fn total(&self) -> u64 {
        self.0.asked.lock().unwrap().values().sum()
    }

    /// How many keys were asked for.
    pub(crate) fn distinct(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    /// How often a key was asked for.
    pub(crate) fn asked(&self, key: &str) -> u64 {
        self.0.asked.lock().unwrap().get(key.as_bytes()).copied().unwrap_or(0)
    }

    /// The sizes of the batches.
    pub(crate) fn batches(&self) -> Vec<usize> {
        self.0.batches.lock().unwrap().clone()
    }

    /// Lets everything fail from now on, or nothing that does not fail by its name.
    pub(crate) fn break_down(&self, broken: bool) {
        *self.0.broken.lock().unwrap() = broken;
    }

    /// Lets `gated…` keys through.
    pub(crate) fn open(&self) {
        self.0.open.send_replace(true);
    }

    /// Waits until a key is being asked for.
    pub(crate) async fn begun(&self) {
        self.0.begun.notified().await;
    }

    /// How many questions are open.
    pub(crate) fn running(&self) -> u64 {
        self.0.running.load(SeqCst)
    }
}

struct Running<'a>(&'a State);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl DataSource for Counting {
    async fn fetch(&self, key: Key) -> Result<Option<Sourced>, BoxError> {
        let state = &*self.0;
        state.running.fetch_add(1, SeqCst);
        let _running = Running(state);
        let count = {
            let mut asked = state.asked.lock().unwrap();
            let count = asked.entry(key.name().to_vec()).or_default();
            *count += 1;
            *count
        };
        state.begun.notify_one();
        let name = String::from_utf8_lossy(key.name()).into_owned();
        if *state.broken.lock().unwrap() {
            return Err(io::Error::other("the database is gone").into());
        }
        match name.as_str() {
            name if name.starts_with("missing") => return Ok(None),
            name if name.starts_with("notfound") => return Err(Error::new(ErrorKind::NotFound, "no such row").into()),
            name if name.starts_with("fails") => return Err(io::Error::other("the database is gone").into()),
            name if name.starts_with("panics") => panic!("a source panics on purpose"),
            name if name.starts_with("hangs") => std::future::pending().await,
            name if name.starts_with("slow") => tokio::time::sleep(millis(100)).await,
            name if name.starts_with("gated") => {
                let _ = state.open.subscribe().wait_for(|open| *open).await;
            }
            _ => {}
        }
        Ok(Some(Sourced::new(format!("{name}#{count}"))))
    }

    async fn fetch_many(&self, keys: Vec<Key>) -> Vec<Result<Option<Sourced>, BoxError>> {
        self.0.batches.lock().unwrap().push(keys.len());
        let mut answers = Vec::new();
        for key in keys {
            answers.push(self.fetch(key).await);
        }
        answers
    }
}

/// A keyspace over a counting source.
pub(crate) fn sourced(source: &Counting) -> KeySpaceBuilder {
    KeySpace::builder(KS).max_bytes(16 << 20).source(source.clone())
}

/// An engine of one keyspace, started.
pub(crate) async fn alone(keyspace: KeySpaceBuilder) -> Engine {
    let engine = Engine::builder().keyspace(keyspace.build().unwrap()).build().unwrap();
    engine.start().await.unwrap();
    engine
}

/// Reads a key as text.
pub(crate) async fn read(engine: &Engine, key: &str) -> Option<String> {
    try_read(engine, key).await.unwrap()
}

pub(crate) async fn try_read(engine: &Engine, key: &str) -> memstache_core::Result<Option<String>> {
    Ok(engine.get(KS, key).await?.map(|value| String::from_utf8(value.to_vec()).unwrap()))
}
