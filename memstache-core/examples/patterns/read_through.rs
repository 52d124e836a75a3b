//! Read-through: the service asks the cache, and the cache asks the database.
//!
//! Once for each key, however many ask at a time; a value that was read before a change is never put in after it; that there
//! is no such product is remembered, too; and while the database is gone, old values are served for their grace.

use memstache_core::{Cache, Json};

use crate::{
    BoxError,
    database::{Database, Product},
};

pub(crate) struct ReadThrough {
    cache: Cache<Json>,
    database: Database,
}

impl ReadThrough {
    pub(crate) fn new(cache: Cache<Json>, database: Database) -> Self {
        Self { cache, database }
    }

    /// Reads a product.
    pub(crate) async fn product(&self, id: &str) -> Result<Option<Product>, BoxError> {
        // The load is a task of its own: it owns what it uses, and goes on for others if this caller leaves.
        let (database, name) = (self.database.clone(), id.to_owned());
        let load = move |_| async move { database.find(&name).await };
        Ok(self.cache.get_or_load(id, load).optional().await?)
    }

    /// Writes a product: the database first, then the cached value goes, and with it the right of loads that began before.
    pub(crate) async fn save(&self, product: Product) -> Result<(), BoxError> {
        let id = product.id.clone();
        self.database.save(vec![product]).await?;
        self.cache.remove(&id).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use memstache_core::{MemoryStore, Stack, testing::ManualClock};

    use super::*;
    use crate::cache;

    #[tokio::test]
    async fn many_readers_ask_the_database_once() {
        let database = Database::in_memory().unwrap();
        database.save(vec![Product::new("tea", 349)]).await.unwrap();
        let through = ReadThrough::new(cache().unwrap(), database.clone());
        let all = futures_util::future::join_all((0..100).map(|_| through.product("tea"))).await;
        assert!(all.into_iter().all(|product| product.unwrap() == Some(Product::new("tea", 349))));
        assert_eq!(database.reads(), 1);
        for _ in 0..3 {
            assert_eq!(through.product("water").await.unwrap(), None);
        }
        assert_eq!(database.reads(), 2, "that there is none is remembered");
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_put_in_after_it() {
        let database = Database::in_memory().unwrap();
        database.save(vec![Product::new("tea", 349)]).await.unwrap();
        let cache = cache().unwrap();
        let through = Arc::new(ReadThrough::new(cache.clone(), database.clone()));
        let gate = memstache_core::testing::Gate::new();
        let slow = tokio::spawn({
            let (cache, database, gate) = (cache.clone(), database.clone(), gate.clone());
            async move {
                let load = move |_| async move {
                    let found = database.find("tea").await;
                    gate.pass().await;
                    found
                };
                let product: Option<Product> = cache.get_or_load("tea", load).optional().await.unwrap();
                product
            }
        });
        gate.arrived(1).await;
        through.save(Product::new("tea", 379)).await.unwrap();
        gate.open();
        assert_eq!(slow.await.unwrap(), Some(Product::new("tea", 349)), "who asked before may see what was before");
        assert_eq!(through.product("tea").await.unwrap(), Some(Product::new("tea", 379)));
        assert_eq!(cache.stats().fills_refused, 1);
    }

    #[tokio::test]
    async fn while_the_database_is_gone_old_values_are_served() {
        let (clock, database) = (ManualClock::new(), Database::in_memory().unwrap());
        database.save(vec![Product::new("tea", 349)]).await.unwrap();
        let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
        let cache = Cache::builder(Stack::over(store).build()).keyspace("k").format(Json).clock(clock.clone());
        let cache = cache.ttl(Duration::from_secs(300)).stale_for(Duration::from_secs(60)).build().unwrap();
        let through = ReadThrough::new(cache, database.clone());
        assert!(through.product("tea").await.unwrap().is_some());
        database.break_down(true);
        clock.advance(Duration::from_secs(301));
        assert_eq!(through.product("tea").await.unwrap(), Some(Product::new("tea", 349)));
        clock.advance(Duration::from_secs(60));
        assert!(through.product("tea").await.is_err(), "the grace is over");
        database.break_down(false);
        assert!(through.product("tea").await.unwrap().is_some());
    }
}
