#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod member;
pub mod membership;
pub mod net;
#[allow(dead_code, unused_imports, reason = "what the engine calls peers by")]
mod peer;
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
