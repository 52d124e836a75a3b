//! Values of two tenants that somebody exchanges on the server.

use memstache_core::{Cache, Json, Stack, StoreService, Tenanted, testing::Recorder};
use memstache_crypto::Seal;
use memstache_redis::RedisStore;

use super::{keys, kit, plain, tenant};

/// Writes a value for each of two tenants, then exchanges what the server keeps.
async fn swap(tenants: &Cache<Json, Tenanted>, prefix: &str) -> [Cache<Json>; 2] {
    let handles = ["acme", "umbrella"].map(|name| tenants.for_tenant(&tenant(name)));
    for (value, cache) in (1..).zip(&handles) {
        cache.set("tea", &value).await.unwrap();
    }
    let script = "local a, b = redis.call('KEYS', ARGV[1]), redis.call('KEYS', ARGV[2]) \
                  local held = ARGV[1] .. 'held' \
                  redis.call('RENAME', a[1], held) redis.call('RENAME', b[1], a[1]) redis.call('RENAME', held, b[1]) \
                  return #a + #b";
    let [one, other] = ["acme", "umbrella"].map(|name| format!("{prefix}v*{name}:products:tea"));
    assert_eq!(kit::raw(&["EVAL", script, "0", &one, &other]).await, ":2");
    handles
}

async fn store(prefix: &str) -> RedisStore {
    kit::store(kit::builder(&kit::single()).prefix(prefix)).await
}

#[tokio::test]
async fn under_a_seal_they_are_misses_counted_and_loaded_anew() {
    let prefix = kit::prefix();
    let seal = Seal::builder(keys()).build().unwrap();
    let stack = Stack::over(StoreService::new(store(&prefix).await)).seal(seal.clone()).build();
    let builder = Cache::builder(stack).keyspace("products").store_timeout(kit::PATIENCE);
    let tenants = builder.format(Json).build_tenanted().unwrap();
    let handles = swap(&tenants, &prefix).await;
    for cache in &handles {
        assert_eq!(cache.get::<u32>("tea").await.unwrap(), None);
        assert!(matches!(cache.get_many::<u32>(["tea"]).await.unwrap()[..], [Ok(None)]));
    }
    // The value of the tenant that came first is older than the other's line, which hides it: it never gets to the seal.
    assert_eq!((tenants.stats().rejected_unopened, tenants.stats().hits), (2, 0));
    assert_eq!((seal.stats().rejected_tag, seal.stats().rejected()), (2, 2));
    for (value, cache) in (11..).zip(&handles) {
        let load = cache.get_or_load("tea", move |_| async move { Ok::<_, std::io::Error>(value) });
        assert_eq!(load.await.unwrap(), value);
        assert_eq!(cache.get::<u32>("tea").await.unwrap(), Some(value));
    }
}

/// What no layer of a cache can see: without a seal, who can write to the server decides what is read from it.
#[tokio::test]
async fn without_a_seal_nothing_protects_from_who_writes_to_the_server() {
    let prefix = kit::prefix();
    let tenants = plain(&store(&prefix).await, &Recorder::new());
    let [one, other] = swap(&tenants, &prefix).await;
    assert_eq!(one.get::<u32>("tea").await.unwrap(), Some(2), "the other's");
    assert_eq!(other.get::<u32>("tea").await.unwrap(), None, "older than its line");
}
