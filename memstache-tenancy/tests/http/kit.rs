//! What the tests share.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt, Full};
use memstache_core::{Cache, Json, MemoryStore, Stack, TenantId, Tenanted};
use memstache_tenancy::{Refusal, Resolved, Resolver, ResolverBuilder, TenantRequest};

pub(crate) type Body = Full<Bytes>;

/// What an auth layer leaves in the extensions.
#[derive(Clone, Debug)]
pub(crate) struct Claims(pub(crate) Option<String>);

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn caches() -> Cache<Json, Tenanted> {
    let stack = Stack::over(MemoryStore::builder().max_bytes(1 << 20).build().unwrap()).build();
    Cache::builder(stack).keyspace("products").format(Json).build_tenanted().unwrap()
}

pub(crate) fn by_header() -> Resolver {
    Resolver::builder().header("x-shop").build().unwrap()
}

/// The builder with a claim.
pub(crate) fn claim(builder: ResolverBuilder) -> ResolverBuilder {
    builder.claim(|claims: &Claims| claims.0.as_deref())
}

pub(crate) fn claims(name: &str) -> Claims {
    Claims(Some(name.to_owned()))
}

pub(crate) fn get(uri: &str) -> http::request::Builder {
    Request::get(uri)
}

/// A request of a shop's, by its header.
pub(crate) fn of(shop: &str) -> Request<Body> {
    get("/").header("x-shop", shop).body(Body::default()).unwrap()
}

pub(crate) fn head(request: http::request::Builder) -> Parts {
    request.body(()).unwrap().into_parts().0
}

/// The tenant's name, or why there is none; `None` for shared and exempt ones.
pub(crate) fn resolve(resolver: &Resolver, request: http::request::Builder) -> Result<Option<String>, Refusal> {
    resolver.resolve(&head(request)).map(|resolved| match resolved {
        Resolved::Tenant(tenant) => Some(tenant.as_str().to_owned()),
        _ => None,
    })
}

/// A handler that says whose cache it was given.
pub(crate) async fn whose(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let said = match request.tenant_cache::<Json>() {
        Ok(cache) => cache.space().tenant().unwrap_or("(shared)").to_owned(),
        Err(error) => error.to_string(),
    };
    Ok(Response::new(Body::from(said)))
}

pub(crate) async fn text<B: http_body::Body>(response: Response<B>) -> String
where
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
