//! Spans and reports of what callers of this node do.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use memstache_core::{
    BoxFuture, Error, Request, Response, Result,
    observe::{Ending, Event, ObserveLayer, ObservedCall, Recorder},
};
use tower_layer::Layer as _;
use tower_service::Service;

use super::{node::Node, slot::Slot};

/// Records nothing: for nodes without a recorder whose spans somebody wants to see.
#[derive(Debug)]
struct Nobody;

impl Recorder for Nobody {
    fn request(&self, _: Ending, _: u64) {}
    fn call(&self, _: &ObservedCall) {}
    fn event(&self, _: &Event) {}
}

/// What a keyspace's loads tell: the calls are the engine's to tell.
#[derive(Debug)]
pub(crate) struct OfLoads(pub(crate) Arc<dyn Recorder>);

impl Recorder for OfLoads {
    fn request(&self, ending: Ending, count: u64) {
        self.0.request(ending, count);
    }

    fn call(&self, _: &ObservedCall) {}

    fn event(&self, event: &Event) {
        self.0.event(event);
    }
}

/// A keyspace as callers of this node reach it.
struct Unobserved {
    node: Arc<Node>,
    slot: Arc<Slot>,
}

impl Service<Request> for Unobserved {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (node, slot) = (Arc::clone(&self.node), Arc::clone(&self.slot));
        Box::pin(async move { node.run_unobserved(&slot, request).await })
    }
}

impl Node {
    /// Runs a request of a caller of this node; told to the keyspace's recorder, and in a span if anybody wants to see it.
    ///
    /// Where nobody records and spans are off, that costs two loads.
    pub(crate) async fn run(self: &Arc<Self>, slot: &Arc<Slot>, request: Request) -> Result<Response> {
        let recorder = self.recorder_of(slot);
        if recorder.is_none() && !tracing::level_enabled!(tracing::Level::DEBUG) {
            return self.run_unobserved(slot, request).await;
        }
        let recorder = recorder.unwrap_or_else(|| Arc::new(Nobody));
        let watched = Unobserved { node: Arc::clone(self), slot: Arc::clone(slot) };
        let layer = ObserveLayer::new(recorder).with_clock(Arc::clone(&self.clock));
        layer.layer(watched).call(request).await
    }

    fn recorder_of(&self, slot: &Slot) -> Option<Arc<dyn Recorder>> {
        if !self.records {
            return None;
        }
        slot.current().ok().and_then(|local| local.recorder.clone())
    }
}
