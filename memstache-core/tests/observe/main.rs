//! Watching a cache: what is recorded, by which names, at what price, and what is not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod collector;
mod exported;
mod judges;
mod panics;
mod series;
mod spans;
mod table;
mod trouble;
mod workload;
