//! The store: plans, scripts, and what their answers mean.

mod ask;
mod clocks;
pub(crate) mod errors;
mod explain;
mod get;
mod glance;
mod invalidate;
mod known;
mod plan;
mod prospects;
mod remove;
mod set;
mod shared;
mod tags;
mod touch;
mod usage;
mod wait;
mod writes;

#[cfg(test)]
mod with_redis;

use std::{fmt, sync::Arc};

use memstache_core::{
    Coherence, Explain, Explained, Found, Get, Invalidate, Invalidated, InvalidationStream, OnMiss, PartHealth, Remove,
    Removed, Result, Set, Store, Stored, Touch, Touched, observe::DatabaseCalls,
};

pub use self::usage::RedisUsage;
pub(crate) use self::{ask::Manner, explain::TIER, shared::Shared};
use crate::{builder::RedisBuilder, health::RedisHealth, stats::RedisStats};

/// Keeps entries in Redis: one server, the primary that Sentinel names, or a Cluster.
///
/// Cheap to clone; clones are the same store. It needs a tokio runtime from [`RedisBuilder::build`] on, and RESP3
/// (Redis 6 or later, Valkey).
///
/// Errors of items: [`TooLarge`](memstache_core::ErrorKind::TooLarge) for a value over the limit (or none, as
/// [`OnOversize`](crate::OnOversize) says), [`Unsupported`](memstache_core::ErrorKind::Unsupported) for one that must be
/// sealed and is not, [`Timeout`](memstache_core::ErrorKind::Timeout) for reads that were not answered in time,
/// [`Unknown`](memstache_core::ErrorKind::Unknown) for writes that were not: they may or may not have happened, but
/// cannot happen after their time; [`Unavailable`](memstache_core::ErrorKind::Unavailable) when a server is gone,
/// [`Overloaded`](memstache_core::ErrorKind::Overloaded) when too much waits to be sent or the server is full.
///
/// # Cancellation
/// A read that is dropped leaves nothing behind but, at worst, a lease that ages out. A write that is dropped happens or
/// does not, and not after its time. A read that waits for a lease holds none.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

impl RedisStore {
    /// Builds a store from a URL; see [`RedisBuilder`] for the forms that it may have.
    ///
    /// ```no_run
    /// use memstache_core::{Cache, Json, NearConfig, Stack, StoreService};
    /// use memstache_redis::RedisStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
    /// let store = RedisStore::builder("redis://127.0.0.1:6379")?.build()?;
    /// let stack = Stack::over(StoreService::new(store)).near(NearConfig::new(16 << 20)?).build();
    /// let products = Cache::builder(stack).keyspace("products").format(Json).build()?;
    /// products.set("7", "a lamp").await?;
    /// # Ok(()) }
    /// ```
    pub fn builder(url: &str) -> Result<RedisBuilder> {
        RedisBuilder::from_url(url)
    }

    pub(crate) fn from_shared(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits until the servers answer and, if changes are subscribed to, are listened to.
    ///
    /// Errors: [`Timeout`](memstache_core::ErrorKind::Timeout) when they do not in time;
    /// [`Unavailable`](memstache_core::ErrorKind::Unavailable), at once and not to be repeated, when a server refuses the
    /// credentials, or to read keys of ours or run scripts with them.
    ///
    /// Nobody has to call this: a store whose servers are not there yet answers with errors until they are.
    pub async fn ready(&self, within: std::time::Duration) -> Result<()> {
        self.shared.ready(within).await
    }

    /// Asks every primary how it is.
    pub async fn health(&self) -> RedisHealth {
        self.shared.health().await
    }

    /// Returns how long commands took, to be told by a [`Registry`](memstache_core::observe::Registry) as
    /// `db.client.operation.duration`; the table of what is told is [above](crate#commands).
    ///
    /// ```no_run
    /// use memstache_core::observe::Registry;
    /// use memstache_redis::RedisStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
    /// let (registry, store) = (Registry::new(), RedisStore::builder("redis://127.0.0.1:6379")?.build()?);
    /// registry.watch_database("products", store.database_calls())?;
    /// # Ok(()) }
    /// ```
    pub fn database_calls(&self) -> Arc<DatabaseCalls> {
        self.shared.client.times()
    }

    /// Returns what the store has done.
    pub fn stats(&self) -> RedisStats {
        self.shared.stats()
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("client", &self.shared.client).finish_non_exhaustive()
    }
}

impl Store for RedisStore {
    async fn get(&self, op: Get) -> Result<Found> {
        let found = match op.on_miss {
            OnMiss::Wait => self.shared.wait(&op).await,
            on_miss => self.shared.look(op.items.as_slice(), on_miss.into(), &op.scope).await.0,
        };
        Ok(answers(op.items, found))
    }

    async fn set(&self, op: Set) -> Result<Stored> {
        let one = matches!(op.items, memstache_core::OneOrMany::One(_));
        let stored = self.shared.set(op.items.into_iter().collect(), &op.scope).await;
        Ok(if one { stored.into_iter().collect() } else { memstache_core::OneOrMany::Many(stored) })
    }

    async fn remove(&self, op: Remove) -> Result<Removed> {
        let removed = self.shared.remove(op.items.as_slice(), &op.scope).await;
        Ok(answers(op.items, removed))
    }

    async fn touch(&self, op: Touch) -> Result<Touched> {
        let touched = self.shared.touch(op.items.as_slice(), &op.scope).await;
        Ok(answers(op.items, touched))
    }

    async fn invalidate(&self, op: Invalidate) -> Result<Invalidated> {
        let invalidated = self.shared.invalidate(op.items.as_slice(), &op.scope).await;
        Ok(answers(op.items, invalidated))
    }

    /// Tells apart what was [removed](memstache_core::Reason::Removed) a short time ago and what a
    /// [tag](memstache_core::Reason::Tag) or a [clear](memstache_core::Reason::Cleared) hides; of what ended or was evicted
    /// the server remembers nothing: [not held](memstache_core::Reason::NotHeld).
    async fn explain(&self, op: Explain) -> Result<Explained> {
        let explained = self.shared.explain(op.items.as_slice(), &op.scope).await;
        Ok(answers(op.items, explained))
    }

    /// Down while all primaries are known to be gone, degraded while one is or changes are not told. It asks nobody: see
    /// the inherent [`health`](RedisStore::health) for that.
    fn health(&self) -> Option<PartHealth> {
        let (servers, stats) = (self.shared.client.topology().nodes.len(), self.shared.stats());
        Some(stats.health(servers, self.shared.raw.refused().is_some()))
    }
}

/// Gives each item its answer.
fn answers<T, A>(items: memstache_core::OneOrMany<T>, answers: Vec<A>) -> memstache_core::OneOrMany<A> {
    let mut answers = answers.into_iter();
    items.map(|_| answers.next().expect("one answer for each item"))
}

impl Coherence for RedisStore {
    fn subscribe(&self) -> InvalidationStream {
        self.shared.subscribe()
    }
}
