//! Shops on tonic: each shop is a tenant, by the token of whoever calls.
//!
//! ```console
//! $ cargo run -p memstache-tenancy --features http --example tonic_service
//! ```
//!
//! The stack, from outside: trace, tokens, the tenant, the services; limits and timeouts are tonic's own. What a token says
//! is left in the request's extensions by [`auth`], and is the claim by which the tenant is known. Who has none gets the status
//! `Unauthenticated`, as gRPC clients expect it.

#![allow(clippy::print_stdout, reason = "an example talks")]

mod auth;
mod grpc;
mod messages;
#[cfg(test)]
mod tests;

use std::{error::Error, io, sync::Arc, time::Duration};

use memstache_core::{Cache, Json, MemoryStore, Stack};
use memstache_tenancy::{Resolver, TenantLayer, TenantRequest};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tower::ServiceBuilder;
use tower_http::trace::TraceLayer;

use crate::{
    auth::{Claims, Tokens},
    grpc::ProductsServer,
    messages::{FindRequest, Product},
};

type BoxError = Box<dyn Error + Send + Sync>;

/// Finds a product of a shop's, by its id; in a service of yours, a database.
type Source = dyn Fn(&str, &str) -> io::Result<Option<Product>> + Send + Sync;

/// The products of all shops.
#[derive(Clone)]
struct Products {
    source: Arc<Source>,
}

impl Products {
    async fn find(&self, request: Request<FindRequest>) -> Result<Response<Product>, Status> {
        let products = request.extensions().tenant_cache::<Json>().map_err(|_| Status::internal("no tenant"))?.clone();
        let shop = products.space().tenant().unwrap_or_default().to_owned();
        let (source, id) = (Arc::clone(&self.source), request.into_inner().id);
        if id.is_empty() {
            return Err(Status::invalid_argument("id must be 1 byte long at least"));
        }
        let wanted = id.clone();
        let load = move |_| async move { source(&shop, &wanted) };
        match products.get_or_load(&id, load).optional().await {
            Ok(Some(product)) => Ok(Response::new(product)),
            Ok(None) => Err(Status::not_found("no such product")),
            Err(_) => Err(Status::unavailable("the products cannot be read")),
        }
    }
}

/// Serves until `stop` ends, and then what has begun.
async fn serve(
    listener: TcpListener,
    source: Arc<Source>,
    tokens: Tokens,
    stop: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let stack = Stack::over(MemoryStore::builder().max_bytes(16 << 20).build()?).build();
    let products = Cache::builder(stack)
        .keyspace("products")
        .format(Json)
        .schema("product", 1)
        .ttl(Duration::from_secs(300))
        .build_tenanted()?;
    let resolver = Resolver::builder().claim(|claims: &Claims| Some(&claims.shop)).build()?;
    let layers = ServiceBuilder::new()
        .layer(TraceLayer::new_for_grpc())
        .map_request(move |request| tokens.verify(request))
        .layer(TenantLayer::new(products, resolver));
    Server::builder()
        .timeout(Duration::from_secs(5))
        .concurrency_limit_per_connection(64)
        .layer(layers)
        .add_service(ProductsServer::new(Products { source }))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let source =
        |shop: &str, id: &str| Ok((id == "tea").then(|| Product { name: format!("{shop}'s tea"), cents: 349 }));
    let tokens = Tokens::new([("acme-token", "acme"), ("umbrella-token", "umbrella")]);
    let listener = TcpListener::bind("127.0.0.1:3002").await?;
    println!("shops.Products/Find on 127.0.0.1:3002, for `authorization: Bearer acme-token`");
    serve(listener, Arc::new(source), tokens, async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await
}
