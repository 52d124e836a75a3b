//! What has been counted.

use std::sync::Arc;

use axum::{Json, extract::State};
use memstache_core::{CacheStats, MemoryStats, NearStats};
use memstache_redis::RedisStats;
use serde_json::{Value, json};

use super::App;
use crate::{
    database::{Queries, Route},
    store::Kept,
};

/// `GET /stats`: the cache, its store and the queries of single products, since the start.
pub(super) async fn stats(State(app): State<Arc<App>>) -> Json<Value> {
    let ledger = app.database.ledger();
    Json(json!({
        "cache": cache(&app.caches.all.stats()),
        "loads_in_flight": app.caches.all.loads_in_flight(),
        "near": near(&app.caches.near.stats()),
        "store": store(&app.caches.store),
        "queries": {
            "cached": queries(ledger.queries(Route::Cached)),
            "uncached": queries(ledger.queries(Route::Uncached)),
        },
    }))
}

/// The named counts of a struct.
macro_rules! counts {
    ($from:ident: $($name:ident),* $(,)?) => {
        json!({ $(stringify!($name): $from.$name),* })
    };
}

fn cache(stats: &CacheStats) -> Value {
    counts!(stats: requests, hits, stale, negative, misses, errors, cancelled, loads, loads_degraded, load_failures, fills_refused,
        fills_failed, rejected_unopened, rejected_format, rejected_schema, rejected_decode)
}

fn near(stats: &NearStats) -> Value {
    counts!(stats: entries, bytes, hits, misses, invalidated, overtaken, flushes, unverified)
}

fn store(store: &Kept) -> Value {
    match store {
        Kept::Memory(store) => memory(&store.stats()),
        Kept::Redis(store) => redis(&store.stats()),
    }
}

fn redis(stats: &RedisStats) -> Value {
    counts!(stats: retries, tag_checks, oversized, breakers_open, breakers_opened, watchdog_reconnects, coherent)
}

fn memory(stats: &MemoryStats) -> Value {
    counts!(stats: entries, bytes, max_bytes, hits, stale, negative, misses, inserts, evictions, expirations,
        invalidated, removed, too_large, refused, leases_granted, leases_standing, leases_aged_out,
        invalidation_records)
}

fn queries(queries: Queries) -> Value {
    counts!(queries: total, distinct, most)
}
