//! The web service.

mod answer;
mod categories;
mod explain;
mod health;
mod metrics;
mod paths;
mod problem;
mod products;
mod stats;
mod tenant;
mod writes;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    middleware::map_response_with_state,
    response::Response,
    routing::{get, post},
    serve::ListenerExt as _,
};
use memstache_tenancy::{Resolver, TenantLayer};
use tokio::{net::TcpListener, sync::Mutex, task::JoinHandle, time::timeout};

pub(crate) use self::answer::X_CACHE;
use self::problem::{Cause, Problem};
use crate::{cache::Caches, database::Database, shutdown::Shutdown};

/// Largest body that is read.
const MOST_BODY: usize = 16 * 1024;

/// How long running requests may take once the service shall end.
const LAST_ORDERS: Duration = Duration::from_secs(5);

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) database: Database,
    pub(crate) caches: Caches,
    /// Finds out whose shop a request is for.
    resolver: Resolver,
    /// One write at a time, in the database and the cache together.
    pub(crate) writing: Mutex<()>,
    /// Whether requests fail on purpose, so that nobody is to be told of each.
    pub(crate) chaos: bool,
}

/// The service, running.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl App {
    pub(crate) fn new(database: Database, caches: Caches) -> Result<Self> {
        let resolver = tenant::resolver(database.size().shops)?;
        Ok(Self { database, caches, resolver, writing: Mutex::new(()), chaos: false })
    }

    /// Has requests fail without a word to the operator.
    pub(crate) fn with_chaos(self, chaos: bool) -> Self {
        Self { chaos, ..self }
    }

    /// Starts the service on a port of this machine; it ends when that is wished.
    pub(crate) async fn start(self: Arc<Self>, port: u16, shutdown: Shutdown) -> Result<Running> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.with_context(|| format!("port {port} of 127.0.0.1 cannot be listened on"))?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            // Answers are small and whole: waiting for more to send would only delay them.
            drop(stream.set_nodelay(true));
        });
        let service = axum::serve(listener, self.router());
        let service = service.with_graceful_shutdown(async move { shutdown.wished().await });
        Ok(Running { address, task: tokio::spawn(service.into_future()) })
    }

    fn router(self: Arc<Self>) -> Router {
        let of_shops = Router::new()
            .route("/products/{id}", get(products::cached).put(writes::put))
            .route("/uncached/products/{id}", get(products::uncached))
            .route("/categories/{category}", get(categories::list))
            .route("/categories/{category}/reprice", post(writes::reprice))
            .route_layer(TenantLayer::new(self.caches.all.clone(), self.resolver.clone()));
        of_shops
            .route("/stats", get(stats::stats))
            .route("/metrics", get(metrics::metrics))
            .route("/explain/{key}", get(explain::explain))
            .route("/healthz", get(health::health))
            .fallback(async || Problem::not_found("there is nothing at this path"))
            .method_not_allowed_fallback(async || Problem::wrong_method())
            .layer(DefaultBodyLimit::max(MOST_BODY))
            .layer(map_response_with_state(Arc::clone(&self), tell))
            .with_state(self)
    }
}

/// Tells the operator why a request failed.
async fn tell(State(app): State<Arc<App>>, response: Response) -> Response {
    if let Some(Cause(cause)) = response.extensions().get().filter(|_| !app.chaos) {
        eprintln!("a request failed: {cause}");
    }
    response
}

impl Running {
    /// Waits until the service has ended, for a while; what is still open then is cut.
    pub(crate) async fn ended(mut self) -> Result<()> {
        match timeout(LAST_ORDERS, &mut self.task).await {
            Ok(ended) => ended?.context("the service failed"),
            Err(_) => {
                self.task.abort();
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
