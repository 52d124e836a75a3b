#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod member;
pub mod net;
#[allow(dead_code, unused_imports, reason = "what the engine asks and answers")]
mod wire;

pub use self::{
    member::{Incarnation, Member, NodeId},
    wire::DataSourceError,
};
