//! The engine: the handle that a service holds.

mod bootstrap;
mod builder;
mod clustered;
mod contact;
mod data;
mod delete_fast;
mod error;
mod events;
mod hot_keys;
mod keyspaces;
mod lifecycle;
mod node;
mod observed;
mod peers;
mod put;
mod registry;
mod service;
mod slot;

use std::{fmt, sync::Arc};

use memstache_core::TenantId;

pub use self::{
    builder::EngineBuilder,
    clustered::ClusterConfig,
    delete_fast::Partial,
    error::EngineError,
    events::{EngineEvent, Events, KeySpaceChange},
    hot_keys::HotKey,
    peers::PeerStatus,
    put::Put,
    service::{EngineFuture, EngineService},
};
pub(crate) use self::{
    events::EventBus,
    node::{Node, State, UnderWay, cut_off, until},
    observed::OfLoads,
    slot::Slot,
};

/// A read-through engine: keyspaces on one node, or spread over the nodes of a cluster.
///
/// Cheap to clone; clones are the same engine. It takes calls between [`start`](Self::start) and [`stop`](Self::stop); an
/// engine that is dropped without a stop ends at once what it has begun.
///
/// ```
/// use memstache_cluster::{Engine, Key, KeySpace, Sourced, source_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
/// let squares = KeySpace::builder("squares")
///     .source(source_fn(|key: Key| async move {
///         let number: Option<u64> = key.text().and_then(|text| text.parse().ok());
///         Ok(number.map(|number| Sourced::new((number * number).to_string())))
///     }))
///     .build()?;
/// let engine = Engine::builder().keyspace(squares).build()?;
/// engine.start().await?;
///
/// assert_eq!(engine.get("squares", "12").await?.as_deref(), Some(&b"144"[..]));
/// assert_eq!(engine.get("squares", "no number").await?, None);
/// engine.put("squares", "12", "a gross").await?;
/// assert_eq!(engine.get("squares", "12").await?.as_deref(), Some(&b"a gross"[..]));
/// assert!(engine.delete("squares", "12").await?);
///
/// engine.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Engine {
    pub(crate) node: Arc<Node>,
    tenant: Option<TenantId>,
}

impl Engine {
    /// Starts building an engine.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::new()
    }

    pub(crate) fn of(node: Arc<Node>) -> Self {
        Self { node, tenant: None }
    }

    /// Returns the handle on one tenant's keys: nothing else reads or writes those. The engine's own is on the shared ones.
    #[must_use]
    pub fn for_tenant(&self, tenant: &TenantId) -> Self {
        Self { tenant: Some(tenant.clone()), ..self.clone() }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("node", &self.node).field("tenanted", &self.tenant.is_some()).finish()
    }
}
