//! Near caches of two processes over one server.

use std::time::Duration;

use futures_util::StreamExt;
use memstache_core::{Cache, Coherence, Invalidation, Json, NearConfig, Stack, StoreService};
use memstache_redis::RedisStore;

use super::{kit, proxy::Proxy};

async fn heard(store: &RedisStore) -> memstache_core::InvalidationStream {
    let mut changes = store.subscribe();
    while changes.next().await != Some(Invalidation::Gap) {}
    changes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_the_copies_of_another_process() {
    for url in [kit::single(), kit::url("MEMSTACHE_REDIS_CLUSTER_URL")] {
        let builder = kit::builder(&url);
        let cache = async || {
            let store = kit::store(builder.clone()).await;
            let changes = heard(&store).await;
            let stack = Stack::over(StoreService::new(store.clone())).near(NearConfig::new(1 << 20).unwrap()).build();
            (Cache::builder(stack).keyspace("items").format(Json).build().unwrap(), store, changes)
        };
        let ((one, ..), (other, store, _changes)) = (cache().await, cache().await);
        for at in 0..20 {
            let key = at.to_string();
            one.set(key.as_str(), "old").tags(["red"]).await.unwrap();
            assert_eq!(other.get::<String>(key.as_str()).await.unwrap().as_deref(), Some("old"));
        }
        one.remove("0").await.unwrap();
        one.set("1", "new").await.unwrap();
        kit::until("the copies are dropped", async || {
            let first = other.get::<String>("0").await.unwrap();
            first.is_none() && other.get::<String>("1").await.unwrap().as_deref() == Some("new")
        })
        .await;
        one.invalidate_tag("red").await.unwrap();
        kit::until("what has the tag is hidden", async || {
            let mut seen = 0;
            for at in 2..20 {
                seen += usize::from(other.get::<String>(at.to_string().as_str()).await.unwrap().is_some());
            }
            seen == 0
        })
        .await;
        assert_eq!(store.stats().coherent, Some(true));
        assert!(store.stats().lag.count() > 0, "canaries came back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_line_is_told_and_made_up_for() {
    let proxy = Proxy::start(kit::address(&kit::single())).await;
    let store = kit::store(kit::builder(&proxy.url())).await;
    let mut changes = heard(&store).await;
    proxy.cut();
    assert_eq!(changes.next().await, Some(Invalidation::Lost));
    assert_eq!(store.health().await.coherent, Some(false));
    let mut late = store.subscribe();
    assert_eq!(late.next().await, Some(Invalidation::Lost), "who comes now is told");
    proxy.heal();
    assert_eq!(changes.next().await, Some(Invalidation::Gap));
    kit::until("the store works again", async || kit::set(&store, "k", "v").await.is_ok()).await;
    let told = tokio::time::timeout(kit::PATIENCE, changes.next()).await.unwrap();
    assert_eq!(told, Some(Invalidation::Stored(kit::key("k").stored().clone())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_hangs_is_noticed_by_its_canary() {
    let proxy = Proxy::start(kit::address(&kit::single())).await;
    let store = kit::store(kit::builder(&proxy.url()).canary_interval(Duration::from_millis(100))).await;
    let mut changes = heard(&store).await;
    proxy.stall();
    let told = tokio::time::timeout(Duration::from_secs(5), changes.next()).await.unwrap();
    assert_eq!(told, Some(Invalidation::Lost));
    proxy.resume();
    assert_eq!(changes.next().await, Some(Invalidation::Gap));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_ends_with_its_store() {
    let store = kit::store(kit::builder(&kit::single())).await;
    let mut changes = heard(&store).await;
    drop(store);
    let end = tokio::time::timeout(kit::PATIENCE, changes.next()).await.unwrap();
    assert_eq!(end, None);
}
