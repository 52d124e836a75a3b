//! Tests over real servers. Which ones is said by variables of the environment, which `cargo xtask test` sets.

#[cfg(feature = "config")]
mod config;
mod with_redis;
