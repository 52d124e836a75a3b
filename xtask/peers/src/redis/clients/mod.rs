//! Who takes part.

mod fred;
mod memstache;
mod recorded;
mod redis_rs;

use std::{future::Future, sync::OnceLock, time::Duration};

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;

use super::{
    cells::Load,
    measure::{Race, Runner},
};
use crate::closed_loop::Round;

/// How long what is stored lives: past the end of the bench.
const TTL: Duration = Duration::from_secs(3_600);

/// A client under load. Clones share its connection.
pub(crate) trait Client: Clone + Send + Sync + 'static {
    /// Reads a key; how many bytes its value has.
    fn get(&self, key: &str) -> impl Future<Output = Result<usize>> + Send;

    /// Writes a value under a key.
    fn set(&self, key: &str, value: &str) -> impl Future<Output = Result<()>> + Send;

    /// Reads keys at once; how many bytes their values have together.
    fn get_many(&self, keys: &[&str]) -> impl Future<Output = Result<usize>> + Send;

    /// Does what is to be done before each round, with keys that may be written.
    fn prepare(&self, keys: &[&str], value: &str) -> impl Future<Output = Result<()>> + Send {
        let _ = (keys, value);
        async { Ok(()) }
    }
}

/// What a contestant is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bare fred, with plain commands: what everything is a ratio to.
    Reference,
    /// fred with the commands that memstache sends.
    SameCommands,
    Peer,
    /// memstache's store alone.
    Store,
    /// The whole stack.
    Stack,
    /// The whole stack with a near cache.
    Near,
}

impl Part {
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Store | Self::Stack | Self::Near)
    }
}

/// A contestant with its name.
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    pub(crate) part: Part,
    pub(crate) runner: Box<dyn Runner>,
}

/// The stack with a near cache, which connects when it is first filled: it hears what all others write, and they would pay
/// for that.
struct Late {
    url: String,
    race: OnceLock<Box<dyn Runner>>,
}

impl Late {
    fn new(url: &str) -> Self {
        Self { url: url.to_owned(), race: OnceLock::new() }
    }
}

impl Runner for Late {
    fn fill(&self, runtime: &Runtime, size: usize) -> Result<()> {
        let race = match self.race.get() {
            Some(race) => race,
            None => {
                let near = runtime.block_on(memstache::OverStack::connect(&self.url, true))?;
                self.race.get_or_init(|| Race::over(near, "near"))
            }
        };
        race.fill(runtime, size)
    }

    fn round(&self, runtime: &Runtime, load: Load, span: Duration, seed: u64) -> Result<Round> {
        self.race.get().context("filled before the round")?.round(runtime, load, span, seed)
    }
}

/// Connects everybody.
pub(crate) fn entrants(runtime: &Runtime, url: &str) -> Result<Vec<Entrant>> {
    runtime.block_on(async {
        let bare = fred::Bare::connect(url).await?;
        let store = memstache::OverStore::connect(url).await?;
        let recorded = recorded::SameCommands::new(url, bare.client(), store.clone())?;
        Ok(vec![
            Entrant { name: "fred", part: Part::Reference, runner: Race::over(bare, "fred") },
            Entrant { name: "fred, our commands", part: Part::SameCommands, runner: Race::over(recorded, "recorded") },
            Entrant {
                name: "redis-rs",
                part: Part::Peer,
                runner: Race::over(redis_rs::Multiplexed::connect(url).await?, "rs"),
            },
            Entrant { name: "memstache store", part: Part::Store, runner: Race::over(store, "store") },
            Entrant {
                name: "memstache stack",
                part: Part::Stack,
                runner: Race::over(memstache::OverStack::connect(url, false).await?, "stack"),
            },
            Entrant { name: "memstache near", part: Part::Near, runner: Box::new(Late::new(url)) },
        ])
    })
}
