//! A keyspace of an engine as a stack.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use memstache_core::{
    BoxFuture, Coherence, Error, Health, InvalidationStream, MemoryFuture, PartHealth, Request, Response, Result,
};
use tower_service::Service;

use super::{node::Node, slot::Slot};
use crate::{owner::Local, reader};

/// A keyspace of an [`Engine`](crate::Engine) as the leaf of a stack.
///
/// Everything of the core works over it: typed caches, near caches, transforms, tenants. It is always ready. An update of the
/// keyspace is seen at once; while it is deleted, calls fail with
/// [`EngineError::KeyspaceNotFound`](crate::EngineError::KeyspaceNotFound).
///
/// A keyspace with a source answers every read with what its owner holds or loads, and grants no leases. The names of the
/// addresses are the callers' business: an address may name another keyspace than the engine's, and is kept in the engine's.
#[derive(Clone)]
pub struct EngineService {
    node: Arc<Node>,
    slot: Arc<Slot>,
}

impl EngineService {
    pub(super) const fn new(node: Arc<Node>, slot: Arc<Slot>) -> Self {
        Self { node, slot }
    }
}

impl Service<Request> for EngineService {
    type Response = Response;
    type Error = Error;
    type Future = EngineFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> EngineFuture {
        if let Some(local) = self.node.answers_now(&self.slot, &request) {
            local.note_reads(&request);
            return EngineFuture(Running::Memory(local.store.clone().call(request)));
        }
        let (node, slot) = (Arc::clone(&self.node), Arc::clone(&self.slot));
        EngineFuture(Running::Boxed(Box::pin(async move { node.run(&slot, request).await })))
    }
}

impl Node {
    /// Returns the keyspace if it answers a request at once: a read of what this node holds.
    fn answers_now(&self, slot: &Slot, request: &Request) -> Option<Arc<Local>> {
        // What waits has a deadline to be kept, and what writes an update to be watched for.
        if !matches!(request, Request::Get(_)) || request.waits() || self.ready().is_err() || !self.is_alone() {
            return None;
        }
        slot.current().ok().filter(|local| !local.has_source())
    }
}

/// Tells what changes on any node.
///
/// In a cluster each node that may own keys is asked for its changes, as long as the engine runs: a change is told a moment after it
/// was made. While one of them cannot be asked, which is noticed within a second, and while the members change, near caches above
/// are told so and ask for each read; then they begin anew.
impl Coherence for EngineService {
    fn subscribe(&self) -> InvalidationStream {
        match self.node.cluster() {
            None => self.slot.changes(),
            Some(cluster) => reader::subscribe(&self.node, cluster, &self.slot),
        }
    }
}

impl Health for EngineService {
    fn health(&self) -> PartHealth {
        self.node.health_of(&self.slot)
    }
}

impl fmt::Debug for EngineService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineService").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// The answer of an [`EngineService`].
///
/// # Cancellation
/// Dropping it drops the call wherever it is; a write may or may not have happened. A load that was begun goes on for the
/// others who wait.
///
/// # Panics
/// When polled again after it was ready.
#[must_use = "futures do nothing unless polled"]
pub struct EngineFuture(Running);

enum Running {
    Memory(MemoryFuture),
    Boxed(BoxFuture<'static, Result<Response>>),
}

impl Future for EngineFuture {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response>> {
        match &mut self.0 {
            Running::Memory(future) => Pin::new(future).poll(cx),
            Running::Boxed(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for EngineFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineFuture").finish_non_exhaustive()
    }
}
