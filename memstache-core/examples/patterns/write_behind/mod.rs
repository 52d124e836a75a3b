//! Write-behind: a write is done when it is cached and queued; the database is written later, many at a time.
//!
//! The queue is bounded: who finds it full waits, and then is refused. Several writes of one product that wait are one. What
//! waits is read from the queue if the cache has let it go. A clean [`shutdown`](WriteBehind::shutdown) writes everything. The
//! process that dies loses what is queued, at most [`Settings::capacity`] products; a batch that the database refuses again
//! and again is given up, and counted: its cached values go, so that nobody reads what was never kept.
//!
//! Writers of one product take [turns](crate::turns) in this process, so that what is cached last is what is written last.

mod queue;
#[cfg(test)]
mod tests;
mod worker;

use std::{sync::Arc, time::Duration};

use memstache_core::{Cache, Json, PartHealth};
use tokio::{task::JoinHandle, time::timeout};

use self::queue::{Queue, Room};
use crate::{
    BoxError,
    database::{Database, Product},
    turns::Turns,
};

/// How a queue is bounded and emptied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Products that may wait.
    pub(crate) capacity: usize,
    /// Products in one transaction.
    pub(crate) batch: usize,
    /// How long more writes are waited for before a transaction.
    pub(crate) linger: Duration,
    /// How long a writer waits for room.
    pub(crate) patience: Duration,
    /// How often a batch is tried before it is given up, and how long after the first failure; then twice as long each time.
    pub(crate) attempts: u32,
    pub(crate) backoff: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity: 1024,
            batch: 128,
            linger: Duration::from_millis(20),
            patience: Duration::from_millis(500),
            attempts: 5,
            backoff: Duration::from_millis(100),
        }
    }
}

/// What became of the writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Writes taken.
    pub(crate) taken: usize,
    /// Of them, those that replaced one that waited.
    pub(crate) merged: usize,
    /// Products written to the database.
    pub(crate) written: usize,
    /// Products given up, or still waiting when it ended.
    pub(crate) lost: usize,
    /// Products that wait.
    pub(crate) waiting: usize,
}

/// Writes behind the caller's back; ends, with what is queued, when it is dropped.
pub(crate) struct WriteBehind {
    cache: Cache<Json>,
    database: Database,
    queue: Arc<Queue>,
    turns: Turns,
    worker: Option<JoinHandle<()>>,
}

impl WriteBehind {
    /// Starts the task that writes the database.
    pub(crate) fn start(cache: Cache<Json>, database: Database, settings: Settings) -> Self {
        let (queue, turns) = (Arc::new(Queue::new(settings)), Turns::new());
        let worker = worker::run(Arc::clone(&queue), turns.clone(), cache.clone(), database.clone());
        Self { cache, database, queue, turns, worker: Some(tokio::spawn(worker)) }
    }

    /// Reads a product: from the cache, what waits, or the database.
    pub(crate) async fn product(&self, id: &str) -> Result<Option<Product>, BoxError> {
        let (queue, database, name) = (Arc::clone(&self.queue), self.database.clone(), id.to_owned());
        let load = move |_| async move {
            match queue.waiting(&name) {
                Some(product) => Ok(Some(product)),
                None => database.find(&name).await,
            }
        };
        Ok(self.cache.get_or_load(id, load).optional().await?)
    }

    /// Writes a product. Fails, with nothing changed, if there is no room in time. A caller that leaves while it waits for
    /// room changes nothing; after that, it cannot stop the write halfway.
    pub(crate) async fn save(&self, product: Product) -> Result<(), BoxError> {
        let Some(product) = self.put_and_cache(product, None).await? else { return Ok(()) };
        // Not in its turn: others that write a product that waits already need no room.
        let room = self.queue.room().await?;
        self.put_and_cache(product, Some(room)).await.map(drop)
    }

    /// Puts a product in the queue and then in the cache, in its turn; gives it back if it needs room first.
    async fn put_and_cache(&self, product: Product, room: Option<Room>) -> Result<Option<Product>, BoxError> {
        let (queue, cache, id) = (Arc::clone(&self.queue), self.cache.clone(), product.id.clone());
        let work = async move {
            // First: whoever loads from now on finds it there.
            if let Some(product) = queue.put(product.clone(), room)? {
                return Ok(Some(product));
            }
            if cache.set(&product.id, &product).await.is_err() {
                // It will be written; only what is cached is unknown.
                cache.remove(&product.id).await?;
            }
            Ok(None)
        };
        self.turns.take(&id, work).await
    }

    /// Returns what became of the writes so far.
    pub(crate) fn counts(&self) -> Counts {
        self.queue.counts()
    }

    /// Says how full the queue is, and whether anything was lost: for [`Stack::watch`](memstache_core::Stack::watch).
    pub(crate) fn health(&self) -> PartHealth {
        let Counts { waiting, lost, .. } = self.queue.counts();
        let part = PartHealth::healthy("write-behind").with("waiting", waiting).with("lost", lost);
        match (lost, waiting >= self.queue.settings().capacity) {
            (1.., _) => part.degraded("writes were lost"),
            (0, true) => part.degraded("the queue is full"),
            (0, false) => part,
        }
    }

    /// Takes no more writes, writes everything that waits, caches what callers left behind, and ends. What is not written within `limit` is counted as lost:
    /// a transaction that was under way then may have happened.
    pub(crate) async fn shutdown(mut self, limit: Duration) -> Counts {
        self.queue.close();
        if let Some(worker) = &mut self.worker {
            let turns = &self.turns;
            // That it panicked is what its counts say.
            drop(timeout(limit, async { (worker.await, turns.idle().await) }).await);
        }
        let queue = Arc::clone(&self.queue);
        drop(self);
        queue.counts()
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        self.queue.close();
        self.worker.take().inspect(JoinHandle::abort);
        self.queue.abandon();
    }
}
