//! Write-through: a write goes to the database and then to the cache, so that the next read hits.
//!
//! Writers of one product take [turns](crate::turns) in this process: else the cache could end up with the value of the one who wrote the
//! database first. Where several processes write the same products, remove the cached value instead, as
//! [read-through](crate::read_through) does.

use std::sync::Arc;

use memstache_core::{Cache, Json};

use crate::{
    BoxError,
    database::{Database, Product},
    read_through::ReadThrough,
    turns::Turns,
};

#[derive(Clone)]
pub(crate) struct WriteThrough(Arc<Inner>);

struct Inner {
    cache: Cache<Json>,
    database: Database,
    reads: ReadThrough,
    turns: Turns,
}

impl WriteThrough {
    pub(crate) fn new(cache: Cache<Json>, database: Database) -> Self {
        let reads = ReadThrough::new(cache.clone(), database.clone());
        Self(Arc::new(Inner { cache, database, reads, turns: Turns::new() }))
    }

    /// Reads a product.
    pub(crate) async fn product(&self, id: &str) -> Result<Option<Product>, BoxError> {
        self.0.reads.product(id).await
    }

    /// Writes a product.
    ///
    /// Fails without a change if the database does. A caller that leaves cannot stop it halfway.
    pub(crate) async fn save(&self, product: Product) -> Result<(), BoxError> {
        let (inner, id) = (Arc::clone(&self.0), product.id.clone());
        self.0.turns.take(&id, async move { inner.save(product).await }).await
    }
}

impl Inner {
    async fn save(&self, product: Product) -> Result<(), BoxError> {
        self.database.save(vec![product.clone()]).await?;
        if self.cache.set(&product.id, &product).await.is_err() {
            // Nobody knows what is cached now; what is there must not outlive the write. If that fails too, say so.
            self.cache.remove(&product.id).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::{
        ErrorKind, MemoryStore, Stack,
        testing::{Fault, Faults},
    };

    use super::*;
    use crate::cache;

    #[tokio::test]
    async fn what_was_written_is_cached_and_a_failed_write_changes_nothing() {
        let database = Database::in_memory().unwrap();
        let through = WriteThrough::new(cache().unwrap(), database.clone());
        through.save(Product::new("tea", 349)).await.unwrap();
        assert_eq!(through.product("tea").await.unwrap(), Some(Product::new("tea", 349)));
        assert_eq!(database.reads(), 0, "the first read hits");
        database.break_down(true);
        assert!(through.save(Product::new("tea", 379)).await.is_err());
        assert_eq!(through.product("tea").await.unwrap(), Some(Product::new("tea", 349)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn writers_in_a_race_leave_cache_and_database_alike() {
        let (cache, database) = (cache().unwrap(), Database::in_memory().unwrap());
        let through = WriteThrough::new(cache.clone(), database.clone());
        let writers: Vec<_> = (0..50)
            .map(|cents| {
                let through = through.clone();
                tokio::spawn(async move { through.save(Product::new("tea", cents)).await.unwrap() })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let cached: Option<Product> = cache.get("tea").await.unwrap();
        assert!(cached.is_some());
        assert_eq!(cached, database.find("tea").await.unwrap());
    }

    #[tokio::test]
    async fn a_caller_that_leaves_stops_nothing_halfway() {
        let database = Database::in_memory().unwrap();
        let through = WriteThrough::new(cache().unwrap(), database.clone());
        through.save(Product::new("tea", 349)).await.unwrap();
        let held = database.hold().await;
        let save = tokio::spawn({
            let through = through.clone();
            async move { through.save(Product::new("tea", 379)).await }
        });
        tokio::task::yield_now().await;
        save.abort();
        assert!(save.await.unwrap_err().is_cancelled());
        drop(held);
        // The next writer has its turn after the one that was left alone.
        through.save(Product::new("milk", 99)).await.unwrap();
        while database.transactions() < 3 {
            tokio::task::yield_now().await;
        }
        while through.product("tea").await.unwrap() != Some(Product::new("tea", 379)) {
            tokio::task::yield_now().await;
        }
        assert_eq!(database.reads(), 0, "it is in the cache");
    }

    #[tokio::test]
    async fn a_cache_that_may_hold_the_old_value_is_told() {
        let (database, faults) = (Database::in_memory().unwrap(), Faults::new());
        let store = tower::Layer::layer(&faults, MemoryStore::builder().build().unwrap());
        let cache = Cache::builder(Stack::over(store).build()).keyspace("k").format(Json).build().unwrap();
        let through = WriteThrough::new(cache.clone(), database.clone());
        through.save(Product::new("tea", 349)).await.unwrap();
        let gone = || Fault::before(memstache_core::Error::new(ErrorKind::Unavailable, "gone"));
        faults.inject(gone().when(|request| request.name() == "set"));
        through.save(Product::new("tea", 379)).await.unwrap();
        assert_eq!(cache.get::<Product>("tea").await.unwrap(), None, "the old value went");
        faults.inject(gone());
        assert!(through.save(Product::new("tea", 399)).await.is_err(), "it is written, and may not be seen");
        assert_eq!(database.find("tea").await.unwrap(), Some(Product::new("tea", 399)));
    }
}
