#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(test, fuzzing, feature = "test-util"))]
#[doc(hidden)]
pub mod fuzzing;
mod member;
pub mod membership;
pub mod net;
#[allow(dead_code, unused_imports, reason = "what the engine calls peers by")]
mod peer;
#[cfg(any(test, feature = "test-util"))]
#[doc(hidden)]
pub use self::peer::testing as peer_testing;
mod placement;
#[allow(dead_code, unused_imports, reason = "what the engine asks and answers")]
mod wire;

pub use self::{
    member::{
        Incarnation, MAX_MEMBERS, MAX_NODE_NAME, MAX_WEIGHT, MAX_ZONE, Member, MemberChange, MemberState, Members,
        NodeId, NodeName, Protocols, Weight, Zone,
    },
    placement::{Change, Moved, PARTITIONS, Partition, Table, partition_of},
    wire::DataSourceError,
};
