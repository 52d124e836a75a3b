//! What has been counted.

use std::sync::Arc;

use axum::{Json, extract::State};
use memstache_core::{CacheStats, MemoryStats, NearStats, TenantId};
use memstache_redis::RedisStats;
use memstache_tenancy::Usage;
use serde_json::{Value, json};

use super::App;
use crate::{
    cache::Caches,
    database::{Queries, Route},
    store::Kept,
};

/// Shops that are listed.
const MOST_TENANTS: usize = 20;

/// `GET /stats`: the cache, its store, the shops that use it most and the queries of single products, since the
/// start.
pub(super) async fn stats(State(app): State<Arc<App>>) -> Json<Value> {
    let ledger = app.database.ledger();
    Json(json!({
        "cache": cache(&app.caches.all.stats()),
        "loads_in_flight": app.caches.all.loads_in_flight(),
        "near": near(&app.caches.near.stats()),
        "store": store(&app.caches.store),
        "sealed": app.caches.keys.seal.stats().sealed,
        "tenants": tenants(&app.caches),
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

/// The shops with the most operations, the first one first.
fn tenants(caches: &Caches) -> Value {
    let one = |(tenant, usage): (TenantId, Usage)| {
        let mut told = counts!(usage: operations, refused_operations, refused_writes, bytes, entries, loads_in_flight);
        told["tenant"] = tenant.as_str().into();
        told["plan"] = usage.plan.as_ref().map(|plan| plan.name()).into();
        told
    };
    caches.tenants.top(MOST_TENANTS).into_iter().map(one).collect()
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
