//! The task that empties the queue.

use std::sync::Arc;

use memstache_core::{Cache, Json};
use tokio::time::{sleep, timeout};

use super::queue::{Queue, Taken};
use crate::{database::Database, turns::Turns};

/// Writes batch after batch, until the queue is closed and empty.
pub(super) async fn run(queue: Arc<Queue>, turns: Turns, cache: Cache<Json>, database: Database) {
    loop {
        if queue.is_empty() {
            if queue.is_closed() {
                return;
            }
            queue.changed.notified().await;
            continue;
        }
        if !queue.is_closed() {
            linger(&queue).await;
        }
        let batch = queue.take();
        if write(&queue, &database, &batch).await {
            queue.written(&batch);
        } else {
            queue.give_up(&batch);
            for Taken { product, .. } in &batch {
                // After who is about to cache it.
                drop(turns.wait(&product.id).await);
            }
            // What was never kept must not be read. A cache that fails here keeps it for its ttl at most.
            let ids = batch.iter().map(|taken| &taken.product.id);
            drop(cache.remove_many(ids).await);
        }
    }
}

/// Waits a moment for more, unless it is closed meanwhile.
async fn linger(queue: &Queue) {
    let closed = async {
        while !queue.is_closed() {
            queue.changed.notified().await;
        }
    };
    drop(timeout(queue.settings().linger, closed).await);
}

/// Tries to write a batch, a few times.
async fn write(queue: &Queue, database: &Database, batch: &[Taken]) -> bool {
    let settings = queue.settings();
    let mut pause = settings.backoff;
    for attempt in 1..=settings.attempts {
        let products = batch.iter().map(|taken| taken.product.clone()).collect();
        if database.save(products).await.is_ok() {
            return true;
        }
        if attempt < settings.attempts {
            sleep(pause).await;
            pause *= 2;
        }
    }
    false
}
