//! Who takes part in a cluster.

mod id;
mod label;
mod members;
mod node;
mod protocols;
mod state;
mod weight;

pub use self::{
    id::{Incarnation, NodeId},
    label::{MAX_NODE_NAME, MAX_ZONE, NodeName, Zone},
    members::{MAX_MEMBERS, MemberChange, Members},
    node::Member,
    protocols::Protocols,
    state::MemberState,
    weight::{MAX_WEIGHT, Weight},
};
