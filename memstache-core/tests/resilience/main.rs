//! What a stack and its loads do while something below them is slow, gone or back again.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod breaker;
mod bursts;
mod config;
mod degraded;
mod gate;
mod hang;
mod kit;
mod limits;
mod lost_leases;
mod max_loads;
mod rate;
mod retry;
mod source;
mod timeout;
mod unready;
