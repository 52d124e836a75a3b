//! memstache: the store by itself, and under its whole stack.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use memstache_codec::{Compress, Postcard};
use memstache_core::{
    Address, Cache, Get, GetItem, KeyspaceName, Lifetime, Lookup, NearConfig, NewEntry, OnMiss, Scope, Set, Space,
    Stack, Store as _, StoreService, Written,
};
use memstache_crypto::{FixedKeys, Seal, Secret, SystemRandom};
use memstache_redis::RedisStore;

use super::{Client, TTL};

const READY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the near cache: all keys fit.
const NEAR: usize = 256 << 20;

async fn store(url: &str) -> Result<RedisStore> {
    // A server that is saturated on purpose is slow, not gone; the others wait for ever.
    let builder = RedisStore::builder(url)?.read_timeout(PATIENCE).write_timeout(PATIENCE).call_timeout(2 * PATIENCE);
    let store = builder.build()?;
    store.ready(READY).await?;
    Ok(store)
}

/// The store without anything above it: bytes in, bytes out.
#[derive(Clone)]
pub(super) struct OverStore {
    store: RedisStore,
    space: Space,
    lifetime: Lifetime,
}

impl OverStore {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let space = Space::new(None, &KeyspaceName::new("bench")?);
        Ok(Self { store: store(url).await?, space, lifetime: Lifetime::UNLIMITED.with_ttl(TTL)? })
    }
}

impl Client for OverStore {
    async fn get(&self, key: &str) -> Result<usize> {
        let found = self.store.get(Get::one(Address::plain(&self.space, key)?)).await?;
        length(found.into_one().context("one answer")??)
    }

    async fn set(&self, key: &str, value: &str) -> Result<()> {
        let entry = NewEntry::new(Bytes::copy_from_slice(value.as_bytes()), self.lifetime);
        let stored = self.store.set(Set::one(Address::plain(&self.space, key)?, entry)).await?;
        match stored.into_one().context("one answer")?? {
            Written::Stored(_) => Ok(()),
            other => bail!("a write was not done: {other:?}"),
        }
    }

    async fn get_many(&self, keys: &[&str]) -> Result<usize> {
        let item = |key: &&str| Address::plain(&self.space, key).map(GetItem::from);
        let items = keys.iter().map(item).collect::<Result<_, _>>()?;
        let found = self.store.get(Get { items, on_miss: OnMiss::Report, scope: Scope::default() }).await?;
        found.into_iter().map(|found| length(found?)).sum()
    }
}

fn length(lookup: Lookup) -> Result<usize> {
    match lookup {
        Lookup::Hit(entry) => Ok(entry.value.len()),
        other => bail!("a key is missing: {other:?}"),
    }
}

/// The stack that the documentation advises: postcard, lz4, sealed.
#[derive(Clone)]
pub(super) struct OverStack(Cache<Postcard>);

impl OverStack {
    pub(super) async fn connect(url: &str, near: bool) -> Result<Self> {
        let keys = FixedKeys::dangerous_one_for_all(Secret::random(&SystemRandom::new())?);
        let stack = Stack::over(StoreService::new(store(url).await?))
            .compress(Compress::builder().lz4().build()?)
            .seal(Seal::builder(keys).build()?);
        let stack = if near { stack.near(NearConfig::new(NEAR)?).build() } else { stack.build() };
        let keyspace = if near { "bench-near" } else { "bench-stack" };
        Ok(Self(
            Cache::builder(stack).keyspace(keyspace).format(Postcard).ttl(TTL).store_timeout(2 * PATIENCE).build()?,
        ))
    }
}

impl Client for OverStack {
    async fn get(&self, key: &str) -> Result<usize> {
        let value: Option<String> = self.0.get(key).await?;
        value.map(|value| value.len()).context("a key is missing")
    }

    async fn set(&self, key: &str, value: &str) -> Result<()> {
        Ok(self.0.set(key, value).await.map(drop)?)
    }

    async fn get_many(&self, keys: &[&str]) -> Result<usize> {
        let values = self.0.get_many::<String>(keys).await?;
        values.into_iter().map(|value| value?.map(|value| value.len()).context("a key is missing")).sum()
    }
}
