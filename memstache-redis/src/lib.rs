#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod client;
#[cfg(feature = "config")]
mod config;
mod health;
mod layout;
mod listen;
mod records;
mod script;
mod stats;
mod store;

#[cfg(feature = "config")]
pub use self::config::{CONFIG_EXAMPLE, register};
pub use self::{
    builder::{OnOversize, RedisBuilder},
    health::{RedisHealth, ServerHealth},
    listen::LagHistogram,
    records::RedisRecords,
    stats::RedisStats,
    store::{RedisStore, RedisUsage},
};
