//! A membership that others hold as well.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use memstache_core::{Result, Tick};
use tokio::sync::watch;

use super::{Membership, StateStream};
use crate::member::{Member, MemberState, Members, NodeId};

/// So that a service keeps a handle on what it gives to its engine.
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
