//! Who may ask for what.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use memstache_cluster::admin::{Admin, AdminBuilder};

use crate::kit::*;

const READS: [&str; 10] =
    ["", "/", "/peers", "/keyspaces", "/hotkeys", "/partitions", "/status", "/explain/users/a", "/events", "/metrics"];
const PROBES: [&str; 2] = ["/healthz", "/readyz"];
const CHANGES: [&str; 3] = ["/keyspaces/users/flush", "/drain", "/warmup"];
const UNSAFE: [Method; 5] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

#[tokio::test]
async fn nothing_is_changed_without_the_write_token() {
    let engine = alone([users()]).await;
    engine.put("users", "a", "v").await.unwrap();
    let guarded = guarded(&engine);
    let without = built(Admin::builder(&engine).read_token(READ));
    let shown = [
        (None, StatusCode::UNAUTHORIZED),
        (Some(bearer("nobody-s-token-012345")), StatusCode::UNAUTHORIZED),
        (Some(bearer(&WRITE[1..])), StatusCode::UNAUTHORIZED),
        (Some(WRITE.to_owned()), StatusCode::UNAUTHORIZED),
        (Some(basic(WRITE)), StatusCode::UNAUTHORIZED),
        (Some(bearer(READ)), StatusCode::FORBIDDEN),
        (Some(basic(READ)), StatusCode::FORBIDDEN),
    ];
    for path in READS.iter().chain(&PROBES).chain(&CHANGES).chain(&["/no/such/path"]) {
        for method in UNSAFE {
            for (token, status) in &shown {
                let answer = send(&guarded, method.clone(), path, token.as_deref()).await;
                assert_eq!(answer.status, *status, "{method} {path} with {token:?}: {}", answer.text());
                if *status == StatusCode::UNAUTHORIZED {
                    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"memstache\"");
                }
                let answer = send(&without, method.clone(), path, token.as_deref()).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path} with {token:?}, and no write token");
            }
        }
    }
    assert!(engine.is_ready() && engine.get("users", "a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_token_in_the_address_is_none() {
    let engine = alone([users()]).await;
    let answer =
        send(&guarded(&engine), Method::POST, &format!("/drain?access_token={WRITE}&token={WRITE}"), None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn reads_need_a_token_where_one_is_set() {
    let engine = alone([users()]).await;
    let router = guarded(&engine);
    for path in READS.iter().chain(&["/no/such/path", "/drain"]) {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        let challenge = answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.starts_with("Basic realm="), "browsers ask for a password: {challenge}");
        // Events have no end.
        if *path == "/events" {
            continue;
        }
        for token in [bearer(READ), basic(READ), bearer(WRITE), basic(WRITE)] {
            let status = send(&router, Method::GET, path, Some(&token)).await.status;
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{path} with {token}");
        }
    }
    for path in PROBES {
        assert_eq!(get(&router, path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn everybody_reads_where_no_token_is_set_but_keys() {
    let engine = alone([users()]).await;
    let router = open(&engine);
    for path in READS.iter().filter(|path| !["/events", "/explain/users/a"].contains(path)) {
        assert_eq!(get(&router, path).await.status, StatusCode::OK, "{path}");
    }
    let answer = get(&router, "/explain/users/a").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.error(), "keys are explained to those with a token only");
    assert_eq!(get(&router, "/no/such/path").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn methods_that_are_none_of_a_path_s_are_refused_to_writers() {
    let engine = alone([users()]).await;
    let router = guarded(&engine);
    for (method, path) in [(Method::POST, "/peers"), (Method::DELETE, "/keyspaces"), (Method::PUT, "/drain")] {
        let answer = send(&router, method, path, Some(&bearer(WRITE))).await;
        assert_eq!((answer.status, answer.error()), (StatusCode::METHOD_NOT_ALLOWED, "method not allowed".to_owned()));
        assert!(answer.headers.contains_key(header::ALLOW));
    }
    assert_eq!(get_as(&router, "/drain", READ).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn every_answer_is_kept_by_nobody_and_framed_by_nobody() {
    let engine = alone([users()]).await;
    let router = guarded(&engine);
    for path in ["", "/peers", "/healthz", "/metrics", "/no/such/path"] {
        for token in [READ, "nobody-s-token-012345"] {
            let answer = get_as(&router, path, token).await;
            let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
            assert_eq!((header("cache-control").as_str(), header("x-frame-options").as_str()), ("no-store", "DENY"));
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
            assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        }
    }
}

#[tokio::test]
async fn a_request_with_a_body_is_refused() {
    let engine = alone([users()]).await;
    let router = guarded(&engine);
    for (name, value) in [(header::CONTENT_LENGTH, "1"), (header::TRANSFER_ENCODING, "chunked")] {
        for method in [Method::GET, Method::POST] {
            let request = Request::builder().method(method).uri(format!("{BASE}/warmup")).header(&name, value);
            let request = request.header(header::AUTHORIZATION, bearer(WRITE)).body(Body::from("x")).unwrap();
            let answer = sent(&router, request).await;
            assert_eq!(
                (answer.status, &answer.headers[header::CONNECTION]),
                (StatusCode::PAYLOAD_TOO_LARGE, &"close".parse().unwrap())
            );
        }
    }
}

#[tokio::test]
async fn a_router_within_another_service_answers_no_strangers_name_either() {
    let engine = alone([users()]).await;
    let router = |build: fn(AdminBuilder) -> AdminBuilder| {
        axum::Router::new().merge(build(Admin::builder(&engine).base_path("/ops")).build().unwrap().router())
    };
    let ask = async |router: &axum::Router, uri: &str, host: &str, token: Option<&str>| {
        let mut request = Request::get(uri).header("host", host);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        sent(router, request.body(Body::empty()).unwrap()).await.status.as_u16()
    };
    let open = router(|builder| builder.host("cache.internal").write_token("write-token-0123456789"));
    for path in ["/ops/peers", "/ops/", "/ops", "/ops/metrics", "/ops/nothing"] {
        assert_eq!(ask(&open, path, "evil.example", None).await, 421, "{path}");
        assert_eq!(ask(&open, path, "evil.example", Some("write-token-0123456789")).await, 421, "{path}");
        let known = ask(&open, path, "cache.internal:8080", None).await;
        assert_ne!(known, 421, "{path}");
        assert_eq!(known, ask(&open, path, "127.0.0.1:3000", None).await, "{path}");
    }
    assert_eq!(ask(&open, "/ops/events", "evil.example", None).await, 421);
    for probe in ["/ops/healthz", "/ops/readyz"] {
        assert_eq!(ask(&open, probe, "evil.example", None).await, 200, "a probe learns nothing");
    }
    // A page of a stranger has no token.
    let guarded = router(|builder| builder.read_token("read-token-0123456789"));
    assert_eq!(ask(&guarded, "/ops/peers", "cache.example", None).await, 401);
    assert_eq!(ask(&guarded, "/ops/peers", "cache.example", Some("read-token-0123456789")).await, 200);
}

#[tokio::test]
async fn the_router_is_merged_and_nested_with_others() {
    let engine = alone([users()]).await;
    let admin = Admin::builder(&engine).base_path("/ops").build().unwrap();
    let other =
        || axum::Router::new().route("/", axum::routing::get(|| async { "shop" })).fallback(|| async { "other" });
    let ask = async |router: &axum::Router, uri: &str| {
        let answer = sent(router, Request::get(uri).body(Body::empty()).unwrap()).await;
        (answer.status.as_u16(), answer.text().to_owned())
    };
    let merged = other().merge(admin.router());
    assert_eq!(ask(&merged, "/").await.1, "shop");
    assert_eq!(ask(&merged, "/ops/healthz").await.1, "ok");
    assert_eq!(ask(&merged, "/healthz").await.1, "other");
    assert_eq!(ask(&merged, "/ops/nothing").await.0, 404, "what is below the base path is ours");
    let nested = other().nest("/deep", admin.router());
    assert_eq!(ask(&nested, "/deep/ops/healthz").await.1, "ok");
    let root = Admin::builder(&engine).base_path("/").build().unwrap().router();
    assert_eq!(ask(&root, "/healthz").await.1, "ok");
    assert!(ask(&root, "/").await.1.starts_with("<!doctype html>"));
}
