//! What all requests share.

use std::sync::{Arc, Weak};

use memstache_core::{Result, observe::Registry};
use tokio::sync::Semaphore;

use super::{base::BasePath, hosts::Hosts, page::Page, tokens::Tokens};
use crate::{
    Engine,
    engine::{EngineError, Node},
};

/// What all requests share.
pub(super) struct Shared {
    /// Not kept: an engine that is dropped ends.
    pub(super) node: Weak<Node>,
    pub(super) base: BasePath,
    pub(super) tokens: Tokens,
    /// By which names it may be asked, where reading needs no token.
    pub(super) hosts: Hosts,
    pub(super) page: Page,
    pub(super) registry: Option<Registry>,
    /// Who else may follow events.
    pub(super) streams: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(
        engine: &Engine,
        base: BasePath,
        tokens: Tokens,
        hosts: Hosts,
        page: Page,
        registry: Option<Registry>,
        streams: usize,
    ) -> Self {
        let (node, streams) = (Arc::downgrade(&engine.node), Arc::new(Semaphore::new(streams)));
        Self { node, base, tokens, hosts, page, registry, streams }
    }

    /// Returns the engine, if it is there.
    pub(super) fn engine(&self) -> Result<Engine> {
        self.node.upgrade().map(Engine::of).ok_or_else(|| EngineError::Stopped.into())
    }
}
