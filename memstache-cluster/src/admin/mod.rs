//! Admin endpoints, and a page for people.
//!
//! An [`Admin`] answers over HTTP how a node and its cluster are. It listens by itself ([`serve`](Admin::serve)), or is a
//! part of a service of one's own ([`router`](Admin::router)). Below its base path, `/_memstache/admin`:
//!
//! | endpoint | answer |
//! | --- | --- |
//! | `GET /` | a page for people: live with JavaScript, tables without |
//! | `GET /peers` | the members: addresses, share of the partitions, health |
//! | `GET /keyspaces` | settings and statistics, with the fields of DistCache and groupcache |
//! | `GET /hotkeys` | the keys that are asked for most on this node |
//! | `GET /partitions` | who owns how many partitions, and which |
//! | `GET /explain/{keyspace}/{key}` | who owns a key, who holds it and how; `?tenant=` for a tenant's |
//! | `GET /events` | server-sent events: the members that are there, then what changes |
//! | `GET /status` | all that the page shows |
//! | `GET /metrics` | metrics as Prometheus reads them |
//! | `GET /healthz` | `ok` while the process answers |
//! | `GET /readyz` | `ready`, or 503 `not ready` while the node does not own its share |
//! | `POST /keyspaces/{name}/flush` | hides all that a keyspace holds |
//! | `POST /drain` | hands over what the node owns; it goes on answering by the others |
//! | `POST /warmup` | loads the warm keys ahead |
//!
//! # Who may ask
//! `POST` needs the write token, as `Authorization: Bearer`; without one set, nobody may. Reading is free on a loopback
//! address. With a read token set, all but `/healthz` and `/readyz` need it or the write token, as `Bearer`, or as the
//! password of `Basic`, for browsers. Names of keys are told only to those with a token, and so is `/explain`; values never.
//! Without a read token, requests must name a host that is an IP address, `localhost`, or one that was
//! [set](AdminBuilder::host), but for `/healthz` and `/readyz`: a page of a stranger cannot ask by a name of its own (DNS
//! rebinding). That holds for [`serve`](Admin::serve) and for the [`router`](Admin::router).
//!
//! Prometheus and browsers cannot know more than they are given: keep the tokens in files, and put TLS between
//! ([`AdminBuilder::transport`]) where others can listen.

mod access;
mod actions;
mod answer;
mod base;
mod builder;
mod events;
mod hosts;
mod metrics;
mod page;
mod router;
mod server;
mod state;
mod tell;
mod tokens;

use std::{fmt, sync::Arc};

use axum::Router;
use memstache_core::Result;

use self::state::Shared;
pub use self::{builder::AdminBuilder, server::AdminServer};
use crate::Engine;

/// Admin endpoints of an engine, and a page for people.
///
/// Clones are the same. It does not keep the engine: once that is dropped, everything is 503.
///
/// ```
/// use memstache_cluster::{Engine, KeySpace, admin::Admin};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
/// let engine = Engine::builder().keyspace(KeySpace::builder("users").build()?).build()?;
/// let admin = Admin::builder(&engine)
///     .bind("127.0.0.1:0".parse().unwrap())
///     .write_token("a-token-from-a-vault")
///     .build()?;
/// let server = admin.serve().await?; // before the start: it says that the node is not ready
/// println!("http://{}/_memstache/admin/", server.local_addr());
/// engine.start().await?;
/// # engine.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Admin {
    shared: Arc<Shared>,
    listen: Arc<server::Listen>,
}

impl Admin {
    /// Starts building the endpoints of an engine.
    pub fn builder(engine: &Engine) -> AdminBuilder {
        AdminBuilder::new(engine)
    }

    /// Returns the endpoints as a router, to merge into that of one's own service, or to nest in it.
    ///
    /// The paths begin with the base path. Limits of connections, heads and time are then those of the service. Who may ask is
    /// decided here all the same: without a read token, a service that is known by a name needs that name as a
    /// [`host`](AdminBuilder::host).
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use memstache_cluster::{Engine, admin::Admin};
    ///
    /// # fn main() -> memstache_core::Result<()> {
    /// let engine = Engine::builder().build()?;
    /// let service: Router = Router::new()
    ///     .route("/", get(|| async { "a shop" }))
    ///     .merge(Admin::builder(&engine).build()?.router());
    /// # Ok(()) }
    /// ```
    pub fn router(&self) -> Router {
        router::outer(&self.shared)
    }

    /// Listens at the address of [`bind`](AdminBuilder::bind) and serves until the engine stops, or the handle is dropped.
    ///
    /// It can be called before the engine starts. Connections, heads, bodies and time are bounded; of too many connections
    /// the one goes that has been silent for longest.
    ///
    /// Errors: [`Io`](memstache_core::ErrorKind::Io) if it cannot listen;
    /// [`EngineError::Stopped`](crate::EngineError::Stopped).
    ///
    /// # Cancellation
    /// Nothing listens.
    pub async fn serve(&self) -> Result<AdminServer> {
        server::serve(&self.shared, &self.listen).await
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("base_path", &self.shared.base).field("listen", &self.listen).finish()
    }
}
