//! Pages of shops on plain Hyper: each shop is a tenant, by the first segment of the path.
//!
//! ```console
//! $ cargo run -p memstache-tenancy --features http --example hyper_service
//! $ curl http://127.0.0.1:3001/acme/welcome
//! ```
//!
//! The stack, from outside: trace, panics, timeout, limit, the tenant, the handler.

#![allow(clippy::print_stdout, reason = "an example talks")]

#[cfg(test)]
#[path = "../axum_service/client.rs"]
mod client;
mod server;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, error::Error, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use memstache_core::{Cache, Json, MemoryStore, Stack, Tenanted};
use memstache_tenancy::{Resolver, TenantLayer, TenantRequest};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer, service_fn};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer, trace::TraceLayer};

use crate::server::{Serve, serve};

type BoxError = Box<dyn Error + Send + Sync>;

/// Draws a page of a shop's: slow, and worth to be kept.
type Draw = dyn Fn(&str, &str) -> io::Result<Option<String>> + Send + Sync;

/// Answers with a page of the request's shop; `DELETE` draws it anew.
async fn page<B>(request: Request<B>, draw: Arc<Draw>) -> Result<Response<Full<Bytes>>, Infallible> {
    let Ok(pages) = request.tenant_cache::<Json>() else { return Ok(answer(StatusCode::INTERNAL_SERVER_ERROR, "")) };
    let shop = pages.space().tenant().unwrap_or_default().to_owned();
    let Some(name) = request.uri().path().split('/').nth(2).filter(|name| !name.is_empty()) else {
        return Ok(answer(StatusCode::NOT_FOUND, ""));
    };
    let done = match *request.method() {
        Method::GET | Method::HEAD => {
            let drawn = name.to_owned();
            let page: Result<Option<String>, _> =
                pages.get_or_load(name, move |_| async move { draw(&shop, &drawn) }).optional().await;
            page.map(|page| page.map_or_else(|| answer(StatusCode::NOT_FOUND, ""), |page| answer(StatusCode::OK, page)))
        }
        Method::DELETE => pages.remove(name).await.map(|_| answer(StatusCode::NO_CONTENT, "")),
        _ => Ok(answer(StatusCode::NOT_IMPLEMENTED, "")),
    };
    Ok(done.unwrap_or_else(|_| answer(StatusCode::SERVICE_UNAVAILABLE, "")))
}

fn answer(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

fn caches() -> memstache_core::Result<Cache<Json, Tenanted>> {
    let stack = Stack::over(MemoryStore::builder().max_bytes(16 << 20).build()?).build();
    Cache::builder(stack).keyspace("pages").format(Json).ttl(Duration::from_secs(60)).build_tenanted()
}

/// The service, for requests as Hyper has them.
fn service(draw: Arc<Draw>) -> memstache_core::Result<impl Serve> {
    let resolver = Resolver::builder().path_segment(0).build()?;
    let handler = service_fn(move |request| page(request, Arc::clone(&draw)));
    Ok(ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(5)))
        .layer(GlobalConcurrencyLimitLayer::new(1_024))
        .layer(TenantLayer::new(caches()?, resolver))
        .service(handler))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let draw = |shop: &str, name: &str| Ok((name == "welcome").then(|| format!("welcome to {shop}\n")));
    let listener = TcpListener::bind("127.0.0.1:3001").await?;
    println!("http://127.0.0.1:3001/acme/welcome, http://127.0.0.1:3001/umbrella/welcome");
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
    serve(listener, service(Arc::new(draw))?, stop).await;
    Ok(())
}
