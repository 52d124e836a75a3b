//! What a client is told when it is refused: its status, and nothing else.

use std::convert::Infallible;

use http::{Request, Response};
use memstache_core::TenantId;
use memstache_tenancy::{Refusal, RefusalStatus, Resolver, TenantLayer};
use tower::{Layer, ServiceExt, service_fn};

use crate::kit::{Body, caches, claim, claims, get, head, of, tenant, text};

/// Everything that goes over the wire but the body.
fn wire<B>(response: &Response<B>) -> String {
    format!("{} {:?} {:?}", response.status(), response.version(), response.headers())
}

async fn never(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    panic!("a refused request reached its handler");
}

#[tokio::test]
async fn the_same_bytes_whatever_the_reason() {
    let builder = Resolver::builder().header("x-secret-shop").subdomain("secret-domain.example").path_segment(0);
    let all = [Refusal::Missing, Refusal::Invalid, Refusal::Conflict, Refusal::Unknown];
    let resolver = all.into_iter().fold(builder, |it, refusal| it.status(refusal, RefusalStatus::NOT_FOUND));
    let resolver = resolver.known(|known: &TenantId| *known == tenant("secret-tenant")).build().unwrap();
    let service = TenantLayer::new(caches(), resolver).layer(service_fn(never));
    let requests = [
        get("/"),
        get("/secret%20tenant"),
        get("/secret-tenant").header("x-secret-shop", "another"),
        get("/another"),
        get("/").header("host", "another.secret-domain.example"),
    ];
    let mut answers = Vec::new();
    for request in requests {
        let response = service.clone().oneshot(request.body(Body::default()).unwrap()).await.unwrap();
        answers.push((wire(&response), text(response).await));
    }
    let (wire, body) = &answers[0];
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    assert_eq!(body, r#"{"type":"about:blank","title":"Not Found","status":404}"#);
    assert_eq!(
        wire,
        r#"404 Not Found HTTP/1.1 {"content-type": "application/problem+json", "cache-control": "no-store"}"#
    );
    assert!(!wire.contains("secret") && !wire.contains("vary"));
}

#[tokio::test]
async fn every_status_has_its_document() {
    for (status, title) in [
        (RefusalStatus::BAD_REQUEST, "Bad Request"),
        (RefusalStatus::UNAUTHORIZED, "Unauthorized"),
        (RefusalStatus::FORBIDDEN, "Forbidden"),
        (RefusalStatus::MISDIRECTED_REQUEST, "Misdirected Request"),
    ] {
        let resolver = Resolver::builder().header("a").status(Refusal::Missing, status).build().unwrap();
        let response = resolver.response::<Body>(Refusal::Missing, &head(get("/")));
        assert_eq!(response.status(), status.status());
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let document: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        let wanted = serde_json::json!({"type": "about:blank", "title": title, "status": status.status().as_u16()});
        assert_eq!(document, wanted);
    }
}

#[test]
fn a_401_comes_with_a_challenge_and_others_do_not() {
    let resolver = claim(Resolver::builder()).build().unwrap();
    let response = |resolver: &Resolver, refusal| resolver.response::<Body>(refusal, &head(get("/")));
    assert_eq!(response(&resolver, Refusal::Missing).headers()["www-authenticate"], "Bearer");
    assert!(!response(&resolver, Refusal::Unknown).headers().contains_key("www-authenticate"));
    let resolver = claim(Resolver::builder()).challenge(r#"Basic realm="shops""#).build().unwrap();
    assert_eq!(response(&resolver, Refusal::Missing).headers()["www-authenticate"], r#"Basic realm="shops""#);
}

#[tokio::test]
async fn grpc_clients_get_a_status_of_theirs() {
    let resolver = claim(Resolver::builder()).known(|_: &TenantId| false).build().unwrap();
    let service = TenantLayer::new(caches(), resolver).layer(service_fn(crate::kit::whose));
    let call = || Request::post("/shop.Products/Find").header("content-type", "application/grpc+proto");
    for (request, code) in
        [(call(), "16"), (call().extension(claims("a b")), "3"), (call().extension(claims("a")), "7")]
    {
        let response = service.clone().oneshot(request.body(Body::default()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], code);
        assert_eq!(text(response).await, "");
    }
}

#[tokio::test]
async fn nothing_of_a_refusal_is_logged_but_its_reason() {
    let logged = crate::layer::logs(async {
        let service = TenantLayer::new(caches(), crate::kit::by_header()).layer(service_fn(crate::kit::whose));
        assert_eq!(service.oneshot(of("a secret")).await.unwrap().status(), 400);
    })
    .await;
    assert!(logged.contains("reason=\"invalid\"") && !logged.contains("secret"), "{logged}");
}
