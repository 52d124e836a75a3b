//! What can be set on the command line.

use std::time::Duration;

use clap::Parser;
use memstache_core::{Result, StoreService};
use memstache_redis::RedisStore;

use crate::world::Plan;

/// How long servers that are up may take to answer for the first time.
const READY: Duration = Duration::from_secs(10);

/// Loads a Redis and judges what its readers saw; `cargo xtask chaos redis` starts it. Times are in milliseconds.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Where the servers are
    #[arg(long)]
    url: String,
    /// How long to load
    #[arg(long)]
    millis: u64,
    /// How long values live
    #[arg(long)]
    ttl: u64,
    /// How old an answer may be that was not confirmed since
    #[arg(long)]
    max_staleness: u64,
    /// By how much an answer may lag behind what was acknowledged
    #[arg(long)]
    bound: u64,
    /// The same for a near cache that hears of changes by the store
    #[arg(long)]
    near_bound: u64,
    /// Number from which the load is made up
    #[arg(long)]
    seed: u64,
}

impl Args {
    /// Waits for the servers to answer.
    pub(crate) async fn connect(&self) -> Result<StoreService<RedisStore>> {
        let store = RedisStore::builder(&self.url)?.build()?;
        store.ready(READY).await?;
        Ok(StoreService::new(store))
    }

    pub(crate) fn plan(&self) -> Plan {
        let millis = Duration::from_millis;
        Plan {
            span: millis(self.millis),
            ttl: millis(self.ttl),
            max_staleness: millis(self.max_staleness),
            bound: millis(self.bound),
            near_bound: millis(self.near_bound),
            writers: 2,
            readers: 4,
            pace: millis(2),
            seed: self.seed,
        }
    }
}
