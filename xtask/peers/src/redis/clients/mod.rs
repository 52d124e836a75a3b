//! Who takes part.

mod fred;
mod memstache;
mod recorded;
mod redis_rs;

use std::{future::Future, time::Duration};

use anyhow::Result;
use tokio::runtime::Runtime;

use super::measure::{Race, Runner};

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

/// Connects everybody.
pub(crate) fn entrants(runtime: &Runtime, url: &str) -> Result<Vec<Entrant>> {
    runtime.block_on(async {
        let bare = fred::Bare::connect(url).await?;
        let store = memstache::OverStore::connect(url).await?;
        let recorded = recorded::SameCommands::new(url, bare.client(), store.clone())?;
        let near = memstache::OverStack::connect(url, true).await?;
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
            Entrant { name: "memstache near", part: Part::Near, runner: Race::over(near, "near") },
        ])
    })
}
