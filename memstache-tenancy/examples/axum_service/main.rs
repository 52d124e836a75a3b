//! Shops on Axum: each shop is a tenant, by its host; products are loaded once and cached for each.
//!
//! ```console
//! $ cargo run -p memstache-tenancy --features axum --example axum_service
//! $ curl -H 'Host: acme.localhost' http://127.0.0.1:3000/products/tea
//! ```
//!
//! The stack, from outside: trace, timeout, limit, the tenant, the handlers. What needs no tenant is outside, so that
//! refused requests are traced and limited as well.

#![allow(clippy::print_stdout, reason = "an example talks")]

mod catalogue;
#[cfg(test)]
mod client;
#[cfg(test)]
mod tests;

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    Json as JsonBody, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, put},
};
use memstache_core::{Cache, Json, MemoryStore, Stack, TenantId};
use memstache_tenancy::{Resolver, TenantCache, TenantLayer};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer};
use tower_http::{timeout::TimeoutLayer, trace::TraceLayer};

use crate::catalogue::{Catalogue, Product};

type BoxError = Box<dyn Error + Send + Sync>;

/// Reads a product: one load for all who ask at a time, of this shop's own.
async fn product(
    TenantCache(products): TenantCache<Json>,
    State(catalogue): State<Arc<Catalogue>>,
    Path(id): Path<String>,
) -> Result<JsonBody<Product>, StatusCode> {
    let shop = shop_of(&products);
    let load = {
        let id = id.clone();
        move |_| async move { catalogue.find(&shop, &id) }
    };
    let found = products.get_or_load(&id, load).optional().await.map_err(unavailable)?;
    found.map(JsonBody).ok_or(StatusCode::NOT_FOUND)
}

/// Writes a product: the catalogue first, then the cached value goes.
async fn save(
    TenantCache(products): TenantCache<Json>,
    State(catalogue): State<Arc<Catalogue>>,
    Path(id): Path<String>,
    JsonBody(product): JsonBody<Product>,
) -> Result<StatusCode, StatusCode> {
    catalogue.save(&shop_of(&products), &id, product);
    products.remove(&id).await.map_err(unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The tenant goes into the load with the handle's name, not through the task.
fn shop_of(products: &Cache<Json>) -> String {
    products.space().tenant().unwrap_or_default().to_owned()
}

fn unavailable(_: memstache_core::Error) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// The service: every shop that the catalogue knows, and no other.
fn app(catalogue: Arc<Catalogue>) -> memstache_core::Result<Router> {
    let stack = Stack::over(MemoryStore::builder().max_bytes(16 << 20).build()?).build();
    let products = Cache::builder(stack)
        .keyspace("products")
        .format(Json)
        .schema("product", 1)
        .ttl(Duration::from_secs(300))
        .negative_ttl(Duration::from_secs(10))
        .build_tenanted()?;
    let known = Arc::clone(&catalogue);
    let resolver = Resolver::builder()
        .subdomain("localhost")
        .known(move |shop: &TenantId| known.has_shop(shop.as_str()))
        .exempt(|parts| parts.uri.path() == "/healthz")
        .build()?;
    let layers = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(5)))
        .layer(GlobalConcurrencyLimitLayer::new(1_024))
        .layer(TenantLayer::new(products, resolver));
    Ok(Router::new()
        .route("/products/{id}", get(product))
        .route("/products/{id}", put(save))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(catalogue)
        .layer(layers))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let app = app(Arc::new(Catalogue::with_examples()))?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://acme.localhost:3000/products/tea, http://umbrella.localhost:3000/products/tea");
    axum::serve(listener, app).await?;
    Ok(())
}
