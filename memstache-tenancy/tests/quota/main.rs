//! Quotas of tenants over whole stacks.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod cancellation;
mod config;
mod estimates;
mod kit;
mod loads;
mod metrics;
mod operations;
mod oracle;
mod races;
mod registry;
mod reload;
mod room;
mod sampling;
mod stale;
mod storage;
