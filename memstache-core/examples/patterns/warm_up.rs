//! Warm-up: seeders fill the cache before the service says that it is ready.

use std::time::Duration;

use memstache_core::{BoxError, Cache, Json, WarmUp, WarmUpReport};

use crate::database::Database;

/// How many products are worth it.
const DEAREST: usize = 100;

/// Seeds the cache; whatever fails is loaded when it is asked for.
pub(crate) async fn run(cache: &Cache<Json>, database: &Database) -> WarmUpReport {
    let (cache, database) = (cache.clone(), database.clone());
    let dearest = async move {
        let products = database.dearest(DEAREST).await?;
        let mut seeded = 0;
        for product in &products {
            // What is there is newer: the service may be running already.
            cache.set(&product.id, product).if_absent().await?;
            seeded += 1;
        }
        Ok::<_, BoxError>(seeded)
    };
    WarmUp::new().timeout(Duration::from_secs(10)).seed("the dearest products", dearest).run().await
}

#[cfg(test)]
mod tests {
    use memstache_core::ErrorKind;

    use super::*;
    use crate::{cache, database::Product, read_through::ReadThrough};

    #[tokio::test]
    async fn the_first_read_hits() {
        let (cache, database) = (cache().unwrap(), Database::in_memory().unwrap());
        database.save((0..200).map(|cents| Product::new(format!("p{cents}"), cents)).collect()).await.unwrap();
        cache.set("p199", &Product::new("p199", 1)).await.unwrap();
        let report = run(&cache, &database).await;
        assert!(report.is_complete());
        assert_eq!(database.reads(), 1);
        let through = ReadThrough::new(cache.clone(), database.clone());
        assert_eq!(through.product("p150").await.unwrap(), Some(Product::new("p150", 150)));
        assert_eq!(database.reads(), 1);
        assert_eq!(through.product("p199").await.unwrap(), Some(Product::new("p199", 1)), "what was there is newer");
        assert_eq!(through.product("p3").await.unwrap(), Some(Product::new("p3", 3)), "loaded when it is asked for");
    }

    #[tokio::test]
    async fn without_its_database_the_service_starts_all_the_same() {
        let (cache, database) = (cache().unwrap(), Database::in_memory().unwrap());
        database.break_down(true);
        let report = run(&cache, &database).await;
        assert_eq!((report.is_complete(), report.seeded()), (false, 0));
        let error = report.seeders[0].outcome.as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Load);
    }
}
