//! Who is there: a trait, gossip, and a fixed list.
//!
//! [`Discovery`] says where to ask, [`Membership`] who is there. [`Gossip`] is the one to take: a SWIM protocol with
//! suspicion over sealed datagrams, by which a crashed node is noticed within five seconds and a split heals within ten.
//! [`StaticMembership`] is for clusters that never change, and for tests.

mod discovery;
mod fixed;
#[cfg(feature = "gossip")]
mod gossip;
mod liveness;
mod stream;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use memstache_core::{Error, ErrorKind, Result, Tick};
use tokio::sync::watch;

#[cfg(all(feature = "gossip", any(test, fuzzing, feature = "test-util")))]
#[doc(hidden)]
pub use self::gossip::fuzzing;
#[cfg(all(feature = "gossip", any(test, feature = "test-util")))]
#[doc(hidden)]
pub use self::gossip::simulation;
#[cfg(feature = "gossip")]
pub use self::gossip::{Gossip, GossipBuilder, GossipSecret, GossipStats};
pub(crate) use self::liveness::Liveness;
pub use self::{
    discovery::{Discovery, SeedStream, StaticDiscovery},
    fixed::StaticMembership,
    stream::StateStream,
};
use crate::member::{Member, MemberState, Members, NodeId};

/// Knows who is there, and tells the others of this node.
#[async_trait]
pub trait Membership: fmt::Debug + Send + Sync + 'static {
    /// Returns which member this node is.
    fn id(&self) -> NodeId;

    /// Returns who is there now, this node included.
    ///
    /// It is not included once another process has taken its name: it must not serve what it owned then.
    fn members(&self) -> Members;

    /// Returns a receiver of every change. Changes that come together are one; a receiver that is slow sees the last.
    fn watch(&self) -> watch::Receiver<Members>;

    /// Returns the latest time, by the membership's clock, at which this node sent something that another is known to have
    /// received; none if it never had to do with another, or if that cannot be told.
    ///
    /// A node that was paused or cut off finds here that too much time went by, even if old datagrams wait to be read.
    fn contact(&self) -> Option<Tick>;

    /// Asks discovery and its seeds who is there. Ends when somebody answered, or when there is nobody else to ask.
    ///
    /// May be called again; joining goes on by itself in any case.
    ///
    /// Errors: `Unavailable`, retryable if nobody answered in time, and not if this node has left or another process has its
    /// name; or, if nobody answered, whatever discovery said when the node was to be registered. That is tried again, too.
    async fn join(&self) -> Result<()>;

    /// Tells everybody that this node is in another state.
    fn set_state(&self, state: MemberState);

    /// Tells everybody that this node is gone. It takes part no more.
    ///
    /// Errors: `Unavailable` if that could not be sent in time; the others will find out.
    async fn leave(&self) -> Result<()>;

    /// Is given the way to other nodes' [`receive_state`](Self::receive_state), once the engine has one. Default: it needs none.
    fn connect(&self, stream: Arc<dyn StateStream>) {
        let _ = stream;
    }

    /// Takes the list of members that another node's stream brought, and returns this node's.
    ///
    /// Errors: `Protocol` if it is no list of members; `Unsupported`, the default, if lists are not exchanged.
    fn receive_state(&self, state: &[u8]) -> Result<Bytes> {
        let _ = state;
        Err(Error::new(ErrorKind::Unsupported, "this membership takes no lists of members").without_effect())
    }

    /// Returns the members that the engine is to ask whether they are there. Default: none, the membership knows by itself.
    fn watched(&self) -> Vec<Member> {
        Vec::new()
    }

    /// Is told that a [watched](Self::watched) member has not answered for the suspicion time, or that it answers: each time that it
    /// was asked, for what was told before may be forgotten by now. Default: does nothing.
    fn report(&self, id: NodeId, there: bool) {
        let _ = (id, there);
    }
}

/// The same membership: for who wants to ask it beside the engine.
#[async_trait]
impl<M: Membership + ?Sized> Membership for Arc<M> {
    fn id(&self) -> NodeId {
        M::id(self)
    }

    fn members(&self) -> Members {
        M::members(self)
    }

    fn watch(&self) -> watch::Receiver<Members> {
        M::watch(self)
    }

    fn contact(&self) -> Option<Tick> {
        M::contact(self)
    }

    async fn join(&self) -> Result<()> {
        M::join(self).await
    }

    fn set_state(&self, state: MemberState) {
        M::set_state(self, state);
    }

    async fn leave(&self) -> Result<()> {
        M::leave(self).await
    }

    fn connect(&self, stream: Arc<dyn StateStream>) {
        M::connect(self, stream);
    }

    fn receive_state(&self, state: &[u8]) -> Result<Bytes> {
        M::receive_state(self, state)
    }

    fn watched(&self) -> Vec<Member> {
        M::watched(self)
    }

    fn report(&self, id: NodeId, there: bool) {
        M::report(self, id, there);
    }
}
