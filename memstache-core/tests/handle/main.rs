//! The typed handle, rule by rule, over a naive store, the memory store and a near cache.

#![expect(clippy::unwrap_used, reason = "a rule fails by it")]

mod auto_traits;
mod batch_loading;
mod batches;
mod cancellation;
mod context;
mod counting;
mod decoded;
mod degraded;
mod early_refresh;
mod explain;
mod health;
mod input;
mod invalidation;
mod kit;
mod lifetime;
mod loading;
mod races;
mod sabotage;
mod schema;
mod stale;
mod store_panics;
mod tenancy;
mod timeouts;
