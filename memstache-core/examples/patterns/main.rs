//! Five ways to put a cache beside a database, over SQLite.
//!
//! ```console
//! $ cargo run -p memstache-core --example patterns
//! ```
//!
//! | pattern | a read | a write | loses |
//! | --- | --- | --- | --- |
//! | [`cache_aside`] | asks the cache, then the database | database, then the cached value goes | nothing; two readers may both ask the database |
//! | [`read_through`] | asks the cache, which asks the database once | as above | nothing |
//! | [`write_through`] | as above | database, then cache | nothing |
//! | [`write_behind`] | as above, and sees what is still to be written | cache and a bounded queue; the database later | nothing on a clean stop; else at most what is queued, and it is counted |
//! | [`warm_up`] | as above; the first one hits | any | nothing |

#![allow(clippy::print_stdout, reason = "an example talks")]

mod cache_aside;
mod database;
mod read_through;
mod turns;
mod warm_up;
mod write_behind;
mod write_through;

use std::{error::Error, time::Duration};

use memstache_core::{Cache, Json, MemoryStore, Stack};

use crate::{
    cache_aside::CacheAside,
    database::{Database, Product},
    read_through::ReadThrough,
    write_behind::{Settings, WriteBehind},
    write_through::WriteThrough,
};

type BoxError = Box<dyn Error + Send + Sync>;

/// The cache of all patterns: products live for five minutes, and may be stale for one if the database fails.
fn cache() -> memstache_core::Result<Cache<Json>> {
    let stack = Stack::over(MemoryStore::builder().max_bytes(16 << 20).build()?).watch_leaf().build();
    Cache::builder(stack)
        .keyspace("products")
        .format(Json)
        .schema("product", 1)
        .ttl(Duration::from_secs(300))
        .stale_for(Duration::from_secs(60))
        .negative_ttl(Duration::from_secs(10))
        .build()
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let database = Database::in_memory()?;
    database.save(vec![Product::new("tea", 349), Product::new("coffee", 399)]).await?;

    let aside = CacheAside::new(cache()?, database.clone());
    for _ in 0..3 {
        aside.product("tea").await?;
    }
    println!("cache-aside: 3 reads, {} of the database", database.reads());
    aside.save(Product::new("tea", 359)).await?;

    let through = ReadThrough::new(cache()?, database.clone());
    let before = database.reads();
    let many = (0..100).map(|_| through.product("coffee"));
    futures_util::future::try_join_all(many).await?;
    println!("read-through: 100 reads at once, {} of the database", database.reads() - before);
    through.save(Product::new("coffee", 389)).await?;

    let write = WriteThrough::new(cache()?, database.clone());
    write.save(Product::new("tea", 379)).await?;
    println!("write-through: tea is {:?} cents", write.product("tea").await?.map(|tea| tea.cents));

    let behind = WriteBehind::start(cache()?, database.clone(), Settings::default());
    let before = database.transactions();
    for cents in 400..500 {
        behind.save(Product::new("coffee", cents)).await?;
    }
    let newest = behind.product("coffee").await?.map(|coffee| coffee.cents);
    println!(
        "write-behind: coffee is {newest:?} cents, {} writes were one; {}",
        behind.counts().merged,
        behind.health()
    );
    let counts = behind.shutdown(Duration::from_secs(5)).await;
    let transactions = database.transactions() - before;
    println!("write-behind: 100 writes in {transactions} transactions, {} lost", counts.lost);

    let warm = cache()?;
    let report = warm_up::run(&warm, &database).await;
    println!("warm-up: {} products before the first request", report.seeded());
    println!("{}", warm.explain("coffee").await?);
    println!("{}", warm.health());
    Ok(())
}

#[tokio::test]
async fn all_of_it_runs() {
    main_for_tests().await.expect("the examples work");
}

/// What `main` does, on the runtime of a test.
#[cfg(test)]
async fn main_for_tests() -> Result<(), BoxError> {
    tokio::task::spawn_blocking(|| main().map_err(|error| error.to_string())).await??;
    Ok(())
}
