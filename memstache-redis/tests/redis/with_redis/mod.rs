//! Everything here needs a server; `cargo xtask test --no-redis` leaves the module out.

mod coherence;
#[cfg(feature = "config")]
mod config;
mod conformance;
mod failover;
mod kit;
mod late;
mod outage;
mod own;
mod processes;
mod proxy;
mod records;
mod refused;
mod round_trips;
mod store;
mod tags;
mod tenants;
mod usage;
mod writes;
