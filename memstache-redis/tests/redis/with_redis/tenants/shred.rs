//! A tenant that is forgotten, though somebody has copied the server's keys.

use std::sync::Arc;

use memstache_core::{Cache, ErasedService, Json, NearConfig, Stack, StoreService, TenantId, TenantKeys, Tenanted};
use memstache_crypto::{Keyring, KeyringTask, Seal, Secret, Shredder, StaticProvider};
use memstache_redis::{RedisRecords, RedisStore};

use super::{kit, tenant};

/// A process: everything of its own but the server.
struct Node {
    keyring: Keyring,
    seal: Seal,
    stack: ErasedService,
    tenants: Cache<Json, Tenanted>,
    _task: KeyringTask,
}

const NAMES: [&str; 3] = ["tea", "coffee", "milk"];

impl Node {
    async fn new(prefix: &str, near: bool) -> Self {
        let store: RedisStore = kit::store(kit::builder(&kit::single()).prefix(prefix)).await;
        let records = Arc::new(RedisRecords::open(&store).await.unwrap());
        let master = StaticProvider::dangerous_from_secrets([Secret::from_bytes([1; 32])]).unwrap();
        let keyring = Keyring::builder("test", records, Arc::new(master)).open().await.unwrap();
        let task = keyring.run();
        let seal = Seal::builder(keyring.clone()).build().unwrap();
        let below = Stack::over(StoreService::new(store)).seal(seal.clone());
        let stack = if near { below.near(NearConfig::new(1 << 20).unwrap()).build() } else { below.build() };
        let builder = Cache::builder(stack.clone()).keyspace("products").store_timeout(kit::PATIENCE);
        let tenants = builder.format(Json).build_tenanted().unwrap();
        Self { keyring, seal, stack, tenants, _task: task }
    }

    async fn reads(&self, tenant: &TenantId) -> Vec<Option<u32>> {
        let found = self.tenants.for_tenant(tenant).get_many::<u32>(NAMES).await.unwrap();
        found.into_iter().map(Result::unwrap).collect()
    }
}

/// Copies the keys of entries, lines and what mirrors them (not records) that begin with one prefix to another; returns how many.
async fn copy(from: &str, to: &str) -> usize {
    let script = "local all = redis.call('KEYS', ARGV[1] .. '[mnstuv]{*') \
                  for _, key in ipairs(all) do \
                  redis.call('COPY', key, ARGV[2] .. string.sub(key, #ARGV[1] + 1), 'REPLACE') end return #all";
    let copied = kit::raw(&["EVAL", script, "0", from, to]).await;
    copied.strip_prefix(':').unwrap_or_else(|| panic!("{copied}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_is_read_from_the_server_near_caches_or_a_copied_dump() {
    let (prefix, dump) = (kit::prefix(), kit::prefix());
    let (gone, stays) = (tenant("acme"), tenant("umbrella"));
    let (one, other) = (Node::new(&prefix, true).await, Node::new(&prefix, true).await);
    for (value, name) in (1..).zip(NAMES) {
        one.tenants.for_tenant(&gone).set(name, &value).await.unwrap();
        one.tenants.for_tenant(&stays).set(name, &(10 * value)).await.unwrap();
    }
    for node in [&one, &other] {
        assert_eq!(node.reads(&gone).await, [Some(1), Some(2), Some(3)]);
    }
    assert!(copy(&prefix, &dump).await >= 6, "six entries, and lines");

    let shredder = Shredder::new(one.keyring.clone()).with_stack(one.stack.clone());
    let receipt = shredder.shred(&gone).await.unwrap();
    assert_eq!((receipt.keys.len(), receipt.records), (1, 1), "what was destroyed");
    assert_eq!((receipt.cleared, receipt.not_cleared), (1, 0));
    assert_eq!(receipt.confirmed, [&one, &other].map(|node| node.keyring.node().unwrap()), "over the server");
    assert!(receipt.is_complete());
    assert_eq!(one.reads(&gone).await, [None; 3], "where it was shredded, at once");
    kit::until("the other node has heard", async || other.reads(&gone).await == [None; 3]).await;

    // As it was before, lines included, with all the key records that remain.
    assert!(copy(&dump, &prefix).await >= 6);
    let late = Node::new(&prefix, false).await;
    assert_eq!(late.reads(&gone).await, [None; 3]);
    assert_eq!(late.seal.stats().rejected_key_revoked, 3, "they are there, and do not open: {:?}", late.seal.stats());
    assert_eq!(late.tenants.stats().rejected_unopened, 3);
    for node in [&one, &other, &late] {
        assert_eq!(node.reads(&gone).await, [None; 3]);
        assert_eq!(node.reads(&stays).await, [Some(10), Some(20), Some(30)], "others read on");
    }

    let again = shredder.shred(&gone).await.unwrap();
    assert_eq!((again.keys.len(), again.not_cleared), (0, 0), "twice is harmless");
    one.tenants.for_tenant(&gone).set("tea", &7).await.unwrap();
    assert_eq!(one.reads(&gone).await[0], Some(7), "what comes later has a new key");
    kit::until("and the other node reads it", async || other.reads(&gone).await[0] == Some(7)).await;
}
