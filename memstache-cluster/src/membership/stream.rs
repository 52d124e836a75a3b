//! The way of what no datagram holds.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use memstache_core::Result;

use crate::member::Member;

/// Carries whole lists of members to other nodes, over whatever is reliable between them. An engine has one over the connections
/// of its peers, and gives it to its membership.
///
/// A datagram holds a dozen members. A node that joins asks for all by this, and nodes compare their lists every 30
/// seconds. Without it clusters of more than some hundred members take minutes to know each other.
#[async_trait]
pub trait StateStream: fmt::Debug + Send + Sync + 'static {
    /// Brings `state` to a member, whose [`Membership::receive_state`](super::Membership::receive_state) answers, and returns that.
    ///
    /// Must be authenticated and encrypted: it is not sealed. Dropped when it takes longer than 5 seconds.
    ///
    /// Errors: whatever keeps it from doing so; it is tried again with another member.
    async fn exchange(&self, with: &Member, state: Bytes) -> Result<Bytes>;
}
