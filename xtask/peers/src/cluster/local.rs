//! Reads of what a node holds itself, beside a memory store behind the same handle.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use memstache_cluster::{Engine, KeySpace};
use memstache_core::{Cache, CacheService, ErasedService, MemoryStore};

use super::{
    cells::Scale,
    contestants::{KEYS, LEN},
};
use crate::stats::Spread;

/// What one contestant needed in each round, in nanoseconds a read.
pub(super) struct Local {
    pub(super) store: Vec<f64>,
    pub(super) engine: Vec<f64>,
}

impl Local {
    /// The median of the rounds' own ratios.
    pub(super) fn ratio(&self) -> f64 {
        Spread::of(self.engine.iter().zip(&self.store).map(|(engine, store)| engine / store)).median
    }
}

pub(super) async fn measure(scale: &Scale) -> Result<Local> {
    const MAX_BYTES: usize = 64 << 20;
    let keys: Arc<[String]> = (0..KEYS).map(|number| format!("key-{number}")).collect();
    let engine = Engine::builder().keyspace(KeySpace::builder("bench").max_bytes(MAX_BYTES).build()?).build()?;
    engine.start().await?;
    let over_store = filled(MemoryStore::builder().max_bytes(MAX_BYTES).build()?, &keys).await?;
    let over_engine = filled(engine.service("bench")?, &keys).await?;
    let mut local = Local { store: Vec::new(), engine: Vec::new() };
    // The first round warms up, and is not counted.
    for round in 0..=scale.rounds {
        let (store, engine) = (nanos(&over_store, &keys, scale).await?, nanos(&over_engine, &keys, scale).await?);
        if round > 0 {
            local.store.push(store);
            local.engine.push(engine);
        }
    }
    engine.stop().await?;
    Ok(local)
}

type Handle = Cache<memstache_core::Json>;

async fn filled(service: impl CacheService, keys: &[String]) -> Result<Handle> {
    let cache = Cache::builder(ErasedService::new(service)).keyspace("bench").format(memstache_core::Json).build()?;
    let value = "v".repeat(LEN - 2);
    for key in keys {
        cache.set(key, &value).await?;
    }
    Ok(cache)
}

/// Nanoseconds a read takes.
async fn nanos(cache: &Handle, keys: &[String], scale: &Scale) -> Result<f64> {
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < scale.span() {
        for key in keys {
            let value: Option<String> = cache.get(key).await?;
            ensure!(value.is_some_and(|value| value.len() == LEN - 2), "another value");
            count += 1;
        }
    }
    Ok(began.elapsed().as_nanos() as f64 / f64::from(count))
}
