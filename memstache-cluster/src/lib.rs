#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod engine;
mod keyspace;
mod member;
pub mod net;
mod owner;
mod problems;
mod stats;
#[allow(dead_code, unused_imports, reason = "what the engine asks and answers")]
mod wire;

pub use self::{
    engine::{Engine, EngineBuilder, EngineError, EngineEvent, EngineFuture, EngineService, Events, Put},
    keyspace::{DataSource, Expiry, Key, KeySpace, KeySpaceBuilder, RateLimit, SourceFn, Sourced, source_fn},
    member::{Incarnation, Member, NodeId},
    stats::KeySpaceStats,
    wire::DataSourceError,
};
