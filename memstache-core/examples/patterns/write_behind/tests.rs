use std::time::Duration;

use memstache_core::{
    Condition, MemoryStore, Stack,
    testing::{Fault, Faults},
};

use super::{queue::Refused, *};
use crate::cache;

const LONG: Duration = Duration::from_secs(60);

fn start(settings: Settings) -> (WriteBehind, Cache<Json>, Database) {
    let (cache, database) = (cache().unwrap(), Database::in_memory().unwrap());
    (WriteBehind::start(cache.clone(), database.clone(), settings), cache, database)
}

async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_loses_nothing_and_writes_each_product_once() {
    let (behind, _, database) = start(Settings::default());
    for cents in 0..10 {
        for name in 0..300 {
            behind.save(Product::new(format!("p{name}"), cents)).await.unwrap();
        }
    }
    let counts = behind.shutdown(LONG).await;
    assert_eq!((counts.taken, counts.lost, counts.waiting), (3000, 0, 0));
    assert_eq!(counts.taken - counts.merged, counts.written, "of those that were merged, the last is written");
    assert!(database.transactions() <= counts.written.div_ceil(128) + 10, "{counts:?}");
    for name in 0..300 {
        let id = format!("p{name}");
        assert_eq!(database.find(&id).await.unwrap(), Some(Product::new(id, 9)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_read_though_the_cache_has_let_it_go() {
    let (behind, cache, database) = start(Settings { linger: LONG, ..Settings::default() });
    database.save(vec![Product::new("tea", 1)]).await.unwrap();
    behind.save(Product::new("tea", 2)).await.unwrap();
    cache.clear().await.unwrap();
    assert_eq!(behind.product("tea").await.unwrap(), Some(Product::new("tea", 2)));
    assert_eq!(database.find("tea").await.unwrap(), Some(Product::new("tea", 1)), "not written yet");
    assert_eq!(behind.counts().waiting, 1);
    tokio::time::sleep(LONG * 2).await;
    assert_eq!((behind.counts().waiting, behind.counts().written), (0, 1));
    cache.clear().await.unwrap();
    assert_eq!(behind.product("tea").await.unwrap(), Some(Product::new("tea", 2)), "from the database");
}

#[tokio::test(start_paused = true)]
async fn a_write_during_the_transaction_of_an_older_one_is_not_forgotten() {
    let (behind, _, database) = start(Settings { linger: Duration::ZERO, ..Settings::default() });
    let held = database.hold().await;
    behind.save(Product::new("tea", 1)).await.unwrap();
    settle().await;
    behind.save(Product::new("tea", 2)).await.unwrap();
    assert_eq!(behind.product("tea").await.unwrap(), Some(Product::new("tea", 2)));
    drop(held);
    let counts = behind.shutdown(LONG).await;
    assert_eq!((counts.written, counts.lost), (2, 0));
    assert_eq!(database.find("tea").await.unwrap(), Some(Product::new("tea", 2)));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_writers_wait_and_then_refuses_them() {
    let settings = Settings { capacity: 2, linger: Duration::ZERO, ..Settings::default() };
    let (behind, cache, database) = start(settings);
    let held = database.hold().await;
    behind.save(Product::new("a", 1)).await.unwrap();
    behind.save(Product::new("b", 1)).await.unwrap();
    assert_eq!(behind.health().condition, Condition::Degraded);
    let refused = behind.save(Product::new("c", 1)).await.unwrap_err();
    assert_eq!(refused.downcast_ref(), Some(&Refused::Full));
    assert_eq!(cache.get::<Product>("c").await.unwrap(), None, "nothing was changed");
    behind.save(Product::new("a", 2)).await.unwrap();
    // One who leaves takes no room with him.
    drop(timeout(Duration::from_millis(1), behind.save(Product::new("d", 1))).await);
    drop(held);
    while behind.counts().waiting > 0 {
        settle().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    behind.save(Product::new("c", 1)).await.unwrap();
    behind.save(Product::new("e", 1)).await.unwrap();
    let counts = behind.shutdown(LONG).await;
    assert_eq!((counts.lost, counts.waiting), (0, 0));
    for (id, cents) in [("a", 2), ("b", 1), ("c", 1), ("e", 1)] {
        assert_eq!(database.find(id).await.unwrap(), Some(Product::new(id, cents)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_comes_back_loses_nothing() {
    let (behind, _, database) = start(Settings::default());
    database.break_down(true);
    behind.save(Product::new("tea", 1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    database.break_down(false);
    assert_eq!(behind.shutdown(LONG).await.lost, 0);
    assert_eq!(database.find("tea").await.unwrap(), Some(Product::new("tea", 1)));
}

#[tokio::test(start_paused = true)]
async fn what_the_database_never_takes_is_given_up_counted_and_not_read_any_more() {
    let (behind, cache, database) = start(Settings::default());
    database.save(vec![Product::new("tea", 1)]).await.unwrap();
    database.break_down(true);
    behind.save(Product::new("tea", 2)).await.unwrap();
    tokio::time::sleep(LONG).await;
    assert_eq!((behind.counts().lost, behind.counts().waiting), (1, 0));
    assert_eq!(behind.health().reason.as_deref(), Some("writes were lost"));
    assert_eq!(cache.get::<Product>("tea").await.unwrap(), None);
    database.break_down(false);
    assert_eq!(behind.product("tea").await.unwrap(), Some(Product::new("tea", 1)));
    assert_eq!(behind.shutdown(LONG).await.lost, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_takes_too_long_ends_and_counts_what_is_left() {
    let (behind, _, database) = start(Settings { capacity: 8, linger: Duration::ZERO, ..Settings::default() });
    let held = database.hold().await;
    for name in 0..8 {
        behind.save(Product::new(name.to_string(), 1)).await.unwrap();
    }
    let before = timeout(LONG, behind.shutdown(Duration::from_secs(5)));
    assert_eq!(before.await.expect("it ends in time").lost, 8, "never more than the capacity");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_counts_what_it_loses_and_takes_no_more() {
    let (behind, _, database) = start(Settings { linger: LONG, ..Settings::default() });
    behind.save(Product::new("tea", 1)).await.unwrap();
    let queue = Arc::clone(&behind.queue);
    drop(behind);
    assert_eq!((queue.counts().lost, queue.counts().waiting), (1, 0));
    assert_eq!(queue.put(Product::new("tea", 2), None), Err(Refused::Closed));
    tokio::time::sleep(LONG * 2).await;
    assert_eq!(database.transactions(), 0);
}

/// A cache whose sets can be held.
fn cache_with_faults() -> (Cache<Json>, Faults) {
    let faults = Faults::new();
    let store = tower::Layer::layer(&faults, MemoryStore::builder().build().unwrap());
    (Cache::builder(Stack::over(store).build()).keyspace("k").format(Json).build().unwrap(), faults)
}

async fn held(faults: &Faults) {
    while faults.hanging() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn writers_in_a_race_leave_cache_and_database_alike() {
    let (cache, faults) = cache_with_faults();
    let database = Database::in_memory().unwrap();
    let behind = Arc::new(WriteBehind::start(cache.clone(), database.clone(), Settings::default()));
    let save = |cents| {
        let behind = Arc::clone(&behind);
        tokio::spawn(async move { behind.save(Product::new("tea", cents)).await.unwrap() })
    };
    // The first is queued, and held before it is cached; all others come meanwhile.
    faults.inject(Fault::hang().when(|request| request.name() == "set").times(1));
    let first = save(0);
    held(&faults).await;
    let others: Vec<_> = (1..50).map(save).collect();
    settle().await;
    faults.heal();
    for writer in others.into_iter().chain([first]) {
        writer.await.unwrap();
    }
    let behind = Arc::into_inner(behind).expect("all writers are gone");
    assert_eq!(behind.shutdown(LONG).await.lost, 0);
    let cached: Option<Product> = cache.get("tea").await.unwrap();
    assert!(cached.is_some());
    assert_eq!(cached, database.find("tea").await.unwrap());
}

#[tokio::test]
async fn a_caller_that_leaves_stops_nothing_halfway() {
    let (cache, faults) = cache_with_faults();
    let database = Database::in_memory().unwrap();
    let behind = Arc::new(WriteBehind::start(cache.clone(), database.clone(), Settings::default()));
    behind.save(Product::new("tea", 1)).await.unwrap();
    faults.inject(Fault::hang().when(|request| request.name() == "set"));
    let save = tokio::spawn({
        let behind = Arc::clone(&behind);
        async move { behind.save(Product::new("tea", 2)).await }
    });
    held(&faults).await;
    save.abort();
    assert!(save.await.unwrap_err().is_cancelled());
    let behind = Arc::into_inner(behind).expect("the caller has left");
    let end = tokio::spawn(behind.shutdown(LONG));
    settle().await;
    assert!(!end.is_finished(), "it waits for what is still to be cached");
    faults.heal();
    assert_eq!(end.await.unwrap().lost, 0);
    assert_eq!(cache.get::<Product>("tea").await.unwrap(), Some(Product::new("tea", 2)));
    assert_eq!(database.find("tea").await.unwrap(), Some(Product::new("tea", 2)));
}
