//! Memoized responses are a tenant's like any value.

use http::Request;
use memstache_core::memoize::{HttpMemo, MemoizeLayer};
use memstache_tenancy::{TenantLayer, TenantRequest};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::kit::{Body, by_header, caches, of, text, whose};

async fn pages<S, B>(service: S) -> Vec<(String, String)>
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let mut seen = Vec::new();
    for shop in ["acme", "umbrella", "acme", "umbrella"] {
        let response = service.clone().oneshot(of(shop)).await.unwrap();
        let how = response.headers()["x-cache"].to_str().unwrap().to_owned();
        seen.push((how, text(response).await));
    }
    seen
}

fn wanted(all: [(&str, &str); 4]) -> Vec<(String, String)> {
    all.map(|(how, shop)| (how.to_owned(), shop.to_owned())).to_vec()
}

#[tokio::test]
async fn pages_are_each_tenants() {
    let memo = MemoizeLayer::with_memo(caches(), HttpMemo::new())
        .tenant_with(|request: &Request<Body>| request.tenant().cloned());
    let service = TenantLayer::new(caches(), by_header()).layer(memo.layer(service_fn(whose)));
    let own = [("miss", "acme"), ("miss", "umbrella"), ("hit", "acme"), ("hit", "umbrella")];
    assert_eq!(pages(service).await, wanted(own));
}

#[tokio::test]
async fn in_the_wrong_order_vary_keeps_them_from_being_stored() {
    let memo = MemoizeLayer::with_memo(caches().shared(), HttpMemo::new());
    let service = memo.layer(TenantLayer::new(caches(), by_header()).layer(service_fn(whose)));
    let none = [("pass", "acme"), ("pass", "umbrella"), ("pass", "acme"), ("pass", "umbrella")];
    assert_eq!(pages(service).await, wanted(none));
}
