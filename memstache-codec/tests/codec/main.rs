//! Formats and compression, by themselves and in a stack.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auto_traits;
mod bombs;
mod common;
mod compress;
#[cfg(all(
    feature = "config",
    feature = "gzip",
    feature = "lz4",
    feature = "message-pack",
    feature = "postcard",
    feature = "zstd"
))]
mod config;
#[cfg(feature = "zstd")]
mod dictionaries;
mod edges;
mod formats;
mod kit;
#[cfg(feature = "zstd")]
mod mistaken;
mod offload;
mod round_trips;
mod schema;
