//! The extractor of Axum.

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{Request, Response},
    routing::get,
};
use memstache_core::Json;
use memstache_tenancy::{Resolver, TenantCache, TenantLayer};
use tower::ServiceExt;

use crate::{
    kit::{caches, text},
    layer::logs,
};

async fn product(
    TenantCache(cache): TenantCache<Json>,
    State(source): State<&'static str>,
    Path(id): Path<u32>,
) -> String {
    let load = move |_| async move { Ok::<_, std::io::Error>(format!("{source} {id}")) };
    let loaded: String = cache.get_or_load(id.to_string(), load).await.unwrap();
    format!("{} of {}", loaded, cache.space().tenant().unwrap())
}

async fn optional(cache: Option<TenantCache<Json>>) -> String {
    cache.map_or_else(|| "nobody".to_owned(), |cache| cache.space().tenant().unwrap().to_owned())
}

fn routes() -> Router {
    Router::new()
        .route("/products/{id}", get(product))
        .route("/healthz", get(optional))
        .route("/whose", get(optional))
        .route("/metrics", get(|TenantCache(_): TenantCache<Json>| async { "never" }))
        .with_state("tea")
}

fn app() -> Router {
    let resolver = Resolver::builder()
        .subdomain("example.com")
        .exempt(|parts| matches!(parts.uri.path(), "/healthz" | "/metrics"))
        .build()
        .unwrap();
    routes().layer(TenantLayer::new(caches(), resolver))
}

async fn ask(app: Router, host: &str, path: &str) -> Response<Body> {
    app.oneshot(Request::get(path).header("host", host).body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn handlers_make_the_calls_of_a_single_tenant() {
    for shop in ["acme", "umbrella"] {
        let response = ask(app(), &format!("{shop}.example.com"), "/products/7").await;
        assert_eq!(text(response).await, format!("tea 7 of {shop}"));
    }
    let refused = ask(app(), "example.com", "/products/7").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["content-type"]),
        (400, &"application/problem+json".parse().unwrap())
    );
}

#[tokio::test]
async fn an_optional_cache_is_none_for_exempt_requests() {
    assert_eq!(text(ask(app(), "10.0.0.1", "/healthz").await).await, "nobody");
    assert_eq!(text(ask(app(), "acme.example.com", "/whose").await).await, "acme");
}

#[tokio::test]
async fn without_the_layer_it_is_the_services_fault_and_logged() {
    for path in ["/products/7", "/whose"] {
        let logged = logs(async {
            let response = ask(routes(), "acme.example.com", path).await;
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert_eq!(text(response).await, r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#);
        })
        .await;
        assert!(logged.contains("ERROR") && logged.contains("no TenantLayer with a cache of this format"), "{logged}");
    }
}

#[tokio::test]
async fn segments_are_those_of_the_router_that_has_the_layer() {
    let whole = || Resolver::builder().path_segment(1).build().unwrap();
    let nested = || Resolver::builder().path_segment(0).build().unwrap();
    let shops = || Router::new().route("/{shop}/whose", get(optional));
    let outside = Router::new().nest("/shops", shops()).layer(TenantLayer::new(caches(), whole()));
    let inside = Router::new().nest("/shops", shops().layer(TenantLayer::new(caches(), nested())));
    for app in [outside, inside] {
        assert_eq!(text(ask(app.clone(), "localhost", "/shops/acme/whose").await).await, "acme");
        // Axum would take the name for `acme`, the resolver for none.
        assert_eq!(ask(app, "localhost", "/shops/%61cme/whose").await.status(), 400);
    }
}

#[tokio::test]
async fn an_exempt_request_has_no_cache_to_give() {
    let logged = logs(async {
        assert_eq!(ask(app(), "acme.example.com", "/metrics").await.status(), 500);
    })
    .await;
    assert!(logged.contains("the request is exempt"), "{logged}");
}
