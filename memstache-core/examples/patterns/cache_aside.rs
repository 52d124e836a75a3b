//! Cache-aside: the service asks the cache, and if it has nothing the database; it puts in what it found.
//!
//! The cache may be gone: reads go on without it. What it cannot do: two readers who miss at a time both ask the database,
//! and a value that was read before a change may be put in after it. [Read-through](crate::read_through) closes both.

use memstache_core::{Cache, Json};

use crate::{
    BoxError,
    database::{Database, Product},
};

pub(crate) struct CacheAside {
    cache: Cache<Json>,
    database: Database,
}

impl CacheAside {
    pub(crate) fn new(cache: Cache<Json>, database: Database) -> Self {
        Self { cache, database }
    }

    /// Reads a product; a cache that fails is one that has nothing.
    pub(crate) async fn product(&self, id: &str) -> Result<Option<Product>, BoxError> {
        if let Some(product) = self.cache.try_get(id).await {
            return Ok(Some(product));
        }
        let product = self.database.find(id).await?;
        if let Some(product) = &product {
            // Not over what somebody else has put in meanwhile. That it fails is in the cache's own counts.
            drop(self.cache.set(id, product).if_absent().await);
        }
        Ok(product)
    }

    /// Writes a product: the database first, then the cached value goes.
    ///
    /// Fails if it is written and the old value may still be cached: then try again.
    pub(crate) async fn save(&self, product: Product) -> Result<(), BoxError> {
        let id = product.id.clone();
        self.database.save(vec![product]).await?;
        self.cache.remove(&id).await?;
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

    async fn database() -> Database {
        let database = Database::in_memory().unwrap();
        database.save(vec![Product::new("tea", 349)]).await.unwrap();
        database
    }

    #[tokio::test]
    async fn the_second_read_hits_and_a_change_is_seen() {
        let database = database().await;
        let aside = CacheAside::new(cache().unwrap(), database.clone());
        for _ in 0..3 {
            assert_eq!(aside.product("tea").await.unwrap(), Some(Product::new("tea", 349)));
        }
        assert_eq!(database.reads(), 1);
        aside.save(Product::new("tea", 379)).await.unwrap();
        assert_eq!(aside.product("tea").await.unwrap(), Some(Product::new("tea", 379)));
        assert_eq!(aside.product("water").await.unwrap(), None);
        assert_eq!(database.reads(), 3);
    }

    #[tokio::test]
    async fn without_its_cache_it_reads_the_database_and_says_that_a_write_may_not_be_seen() {
        let (database, faults) = (database().await, Faults::new());
        let store = tower::Layer::layer(&faults, MemoryStore::builder().build().unwrap());
        let cache = Cache::builder(Stack::over(store).build()).keyspace("k").format(Json).build().unwrap();
        let aside = CacheAside::new(cache, database.clone());
        faults.inject(Fault::before(memstache_core::Error::new(ErrorKind::Unavailable, "gone")));
        for _ in 0..2 {
            assert_eq!(aside.product("tea").await.unwrap(), Some(Product::new("tea", 349)));
        }
        assert_eq!(database.reads(), 2);
        assert!(aside.save(Product::new("tea", 379)).await.is_err());
        assert_eq!(database.find("tea").await.unwrap(), Some(Product::new("tea", 379)));
    }
}
