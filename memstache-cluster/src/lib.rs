#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Tests in the crate share the kit of those beside it.
#[cfg(test)]
extern crate self as memstache_cluster;

#[cfg(feature = "admin")]
#[cfg_attr(docsrs, doc(cfg(feature = "admin")))]
pub mod admin;
#[cfg(any(feature = "discovery-dns", feature = "discovery-kubernetes", feature = "discovery-nats"))]
pub mod discovery;
mod engine;
#[cfg(any(test, fuzzing, feature = "test-util"))]
#[doc(hidden)]
pub mod fuzzing;
mod keyspace;
mod member;
pub mod membership;
pub mod net;
mod owner;
#[allow(dead_code, unused_imports, reason = "what the engine calls peers by")]
mod peer;
#[cfg(any(test, feature = "test-util"))]
#[doc(hidden)]
pub use self::owner::Faults;
pub use self::peer::ServerStats;
#[cfg(any(test, feature = "test-util"))]
#[doc(hidden)]
pub use self::peer::testing as peer_testing;
mod placement;
mod problems;
mod reader;
mod registry;
mod stats;
#[allow(dead_code, unused_imports, reason = "what the engine asks and answers")]
mod wire;

pub use self::{
    engine::{
        ClusterConfig, Engine, EngineBuilder, EngineError, EngineEvent, EngineFuture, EngineService, Events, HotKey,
        KeySpaceChange, Partial, PeerStatus, Put,
    },
    keyspace::{
        DataSource, Expiry, HotCopies, Key, KeySpace, KeySpaceBuilder, RateLimit, SourceFn, Sourced, source_fn,
    },
    member::{
        Incarnation, MAX_MEMBERS, MAX_NODE_NAME, MAX_WEIGHT, MAX_ZONE, Member, MemberChange, MemberState, Members,
        NodeId, NodeName, Protocols, Weight, Zone,
    },
    placement::{Change, Moved, PARTITIONS, Partition, Table, partition_of},
    reader::{WarmUp, WarmedUp},
    registry::KeySpaceStatus,
    stats::KeySpaceStats,
    wire::DataSourceError,
};
