//! What tenants hold, by samples, beside what a server counts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use memstache_core::{
    Address, ErrorKind, Get, KeyspaceName, Lifetime, NewEntry, OnMiss, OneOrMany, Remove, SampledUse, Scope, Set,
    SetItem, Space, Store, StoreService, TenantId, UsageSampler, When,
};
use memstache_crypto::{BlindNames, FixedKeys, Secret};
use memstache_redis::{RedisBuilder, RedisStore, RedisUsage};

use super::kit;

/// Databases that no other test has.
const MANY: u8 = 8;
const FEW: u8 = 9;
/// Keys of one batch.
const BATCH: usize = 500;
/// Tenants, their entries, and the lengths of their values.
const TENANTS: [(&str, usize, usize); 3] = [("acme", 6_000, 64), ("umbrella", 3_000, 256), ("wayne", 1_000, 1_024)];

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn address(of: &str, at: usize) -> Address {
    Address::plain(&Space::new(Some(&tenant(of)), &KeyspaceName::new("items").unwrap()), format!("{at}")).unwrap()
}

/// What is left by runs before ends soon.
fn builder(url: &str) -> RedisBuilder {
    kit::builder(url).max_ttl(Duration::from_secs(60)).call_timeout(Duration::from_secs(30))
}

async fn fill(store: &RedisStore, of: &str, count: usize, len: usize) {
    for first in (0..count).step_by(BATCH) {
        let item = |at| {
            let entry = NewEntry::new(vec![b'v'; len], Lifetime::UNLIMITED);
            SetItem { address: address(of, at), entry, when: When::Always }
        };
        let items = OneOrMany::Many((first..count.min(first + BATCH)).map(item).collect());
        let stored = store.set(Set { items, scope: Scope::default() }).await.unwrap();
        assert!(stored.iter().all(Result::is_ok));
    }
}

/// Returns what a server counts by looking at each key.
async fn counted(database: u8, prefix: &str, of: &str) -> SampledUse {
    let script = format!(
        "redis.call('SELECT', {database}) local bytes, entries, cursor = 0, 0, '0' repeat \
         local page = redis.call('SCAN', cursor, 'MATCH', '{prefix}v*}}{of}:*', 'COUNT', 1000) cursor = page[1] \
         for _, key in ipairs(page[2]) do if redis.call('STRLEN', key) > 68 then \
         bytes, entries = bytes + redis.call('MEMORY', 'USAGE', key), entries + 1 end end \
         until cursor == '0' return bytes .. ' ' .. entries"
    );
    let told = kit::raw(&["EVAL", &script, "0"]).await;
    let (bytes, entries) = told.lines().last().unwrap().split_once(' ').unwrap();
    SampledUse::new(bytes.parse().unwrap(), entries.parse().unwrap())
}

/// Asserts that a number is within a part of what it should be.
fn assert_near(told: u64, wanted: u64, part: f64, what: &str) {
    let off = (told as f64 / wanted as f64 - 1.0).abs();
    assert!(off <= part, "{what}: {told} instead of {wanted} is {off:.3} off, at most {part:.3}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_of_known_sizes_are_told_within_the_documented_error() {
    const DRAWN: usize = 4_096;
    let prefix = kit::prefix();
    let store = kit::store(builder(&kit::single()).prefix(&prefix).database(MANY)).await;
    for (of, count, len) in TENANTS {
        fill(&store, of, count, len).await;
    }
    let usage = RedisUsage::new(store).sampled_keys(DRAWN).unwrap();
    // Those of runs before, too.
    let all = counted(MANY, "*:", "*").await.entries.max(10_000);
    for (of, count, _) in TENANTS {
        let truth = counted(MANY, &prefix, of).await;
        assert_eq!(truth.entries, count as u64);
        let told = usage.sample(&tenant(of)).await.unwrap();
        let share = count as f64 / all as f64;
        // Documented are two deviations, in 19 of 20; five are exceeded once in a million.
        let most = 5.0 * ((1.0 - share) / (share * DRAWN as f64)).sqrt();
        assert_near(told.entries, truth.entries, most, of);
        assert_near(told.bytes, truth.bytes, most, of);
    }
    assert_eq!(usage.sample(&tenant("nobody")).await.unwrap(), SampledUse::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_sampled_on_all_primaries() {
    let store = kit::store(builder(&kit::url("MEMSTACHE_REDIS_CLUSTER_URL"))).await;
    fill(&store, "acme", 6_000, 64).await;
    let told = RedisUsage::new(store).sampled_keys(16_384).unwrap().sample(&tenant("acme")).await.unwrap();
    // Other tests fill the same database, so nobody knows the share.
    assert_near(told.entries, 6_000, 0.5, "entries");
    assert!(told.bytes > told.entries * 132 && told.bytes < told.entries * 1_000, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_keys_are_counted_and_only_entries() {
    let prefix = kit::prefix();
    let store = kit::store(builder(&kit::single()).prefix(&prefix).database(FEW)).await;
    for (of, count) in [("acme", 50), ("other", 20)] {
        fill(&store, of, count, 100).await;
    }
    for at in 0..10 {
        assert!(store.remove(Remove::one(address("acme", at))).await.unwrap().into_one().unwrap().unwrap());
    }
    let mut leased = Get::one(address("acme", 1_000));
    leased.on_miss = OnMiss::Lease;
    store.get(leased).await.unwrap().into_one().unwrap().unwrap();

    let told = store.sample(&tenant("acme")).await.unwrap();
    assert_eq!((told.entries, told), (40, counted(FEW, &prefix, "acme").await), "no marks, no leases");
    assert_eq!(store.sample(&tenant("nobody")).await.unwrap(), SampledUse::default());

    // Caches whose names are blind, over the same store.
    let namer = || BlindNames::new(FixedKeys::dangerous_one_for_all(Secret::from_bytes([7; 32])));
    let stack = memstache_core::Stack::over(StoreService::new(store.clone())).build();
    let builder = memstache_core::Cache::builder(stack).keyspace("blind").store_timeout(kit::PATIENCE).namer(namer());
    let cache = builder.format(memstache_core::Json).build_tenanted().unwrap();
    for (of, count) in [("acme", 5), ("other", 9)] {
        for at in 0..count {
            cache.for_tenant(&tenant(of)).set(format!("{at}"), &at).await.unwrap();
        }
    }
    assert_eq!(store.sample(&tenant("acme")).await.unwrap_err().kind(), ErrorKind::Unsupported);
    let usage = RedisUsage::new(store).namer(namer());
    assert_eq!(usage.sample(&tenant("acme")).await.unwrap().entries, 45);
    assert_eq!(usage.sample(&tenant("other")).await.unwrap().entries, 29);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let store = RedisStore::builder("redis://127.0.0.1:1").unwrap().call_timeout(Duration::from_millis(300));
    let store = store.read_timeout(Duration::from_millis(50)).build().unwrap();
    let kind = store.sample(&tenant("acme")).await.unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::Timeout | ErrorKind::Unavailable), "{kind:?}");
}
