//! HTTP services behind a cache, as an Axum router sees it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Path,
    http::{HeaderName, Method, Request, Response, StatusCode, header},
    routing::get,
};
use futures_util::{future::join_all, stream};
use http_body::{Body as _, Frame};
use memstache_core::{
    Cache, CacheBuilder, ErasedService, Error, ErrorKind, Json, MemoryStore, Stack, TenantId,
    memoize::{HttpMemo, MemoizeLayer},
    testing::ManualClock,
};
use tower::{Layer, ServiceExt, service_fn};

const MINUTE: Duration = Duration::from_secs(60);

fn builder(clock: &ManualClock) -> CacheBuilder<Json> {
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    Cache::builder(Stack::over(store).build()).keyspace("http").format(Json).clock(Arc::new(clock.clone())).ttl(MINUTE)
}

fn cache() -> Cache<Json> {
    builder(&ManualClock::new()).build().unwrap()
}

/// Counts its calls and answers as it is told by the path's name.
fn router(runs: &Arc<AtomicUsize>) -> Router {
    let runs = Arc::clone(runs);
    let handler = move |Path(kind): Path<String>| {
        let run = runs.fetch_add(1, SeqCst) + 1;
        async move {
            tokio::task::yield_now().await;
            let response = Response::builder().header("x-run", run);
            match kind.as_str() {
                "plain" => response.body(Body::from("tea")),
                "binary" => response.body(Body::from(vec![0, 159, 146, 255])),
                "short" => response.header("cache-control", "max-age=5").body(Body::from("tea")),
                "private" => response.header("cache-control", "private").body(Body::from("mine")),
                "cookie" => response.header("set-cookie", "a=b").body(Body::from("mine")),
                "tagged" => response.header("cache-tag", "a, shop:7").body(Body::from("tea")),
                "mistagged" => response.header("cache-tag", "x".repeat(200)).body(Body::from("tea")),
                "missing" => response.status(404).body(Body::from("none")),
                "broken" => response.status(503).body(Body::from("broken")),
                "large" => response.body(Body::from_stream(stream::iter(
                    (0..100_u8).map(|n| Ok::<_, Infallible>(Bytes::from(vec![n; 1000]))),
                ))),
                "torn" => response.body(Body::from_stream(stream::iter([
                    Ok(Bytes::from("half")),
                    Err(std::io::Error::other("cut")),
                ]))),
                "lying" => {
                    response
                        .header("content-length", "9")
                        .body(Body::from_stream(stream::iter([Ok::<_, Infallible>(Bytes::from("half"))])))
                }
                "trailing" => response.body(Body::new(Trailing(2))),
                "panic" => panic!("as asked"),
                _ => response.status(400).body(Body::empty()),
            }
            .unwrap()
        }
    };
    Router::new().route("/{kind}", get(handler.clone()).post(handler))
}

/// One frame of data, one of trailers.
struct Trailing(u8);

impl http_body::Body for Trailing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let left = self.0;
        self.0 = left.saturating_sub(1);
        std::task::Poll::Ready(match left {
            2 => Some(Ok(Frame::data(Bytes::from("data")))),
            1 => Some(Ok(Frame::trailers([(header::ETAG, "\"x\"".parse().unwrap())].into_iter().collect()))),
            _ => None,
        })
    }
}

async fn ask(app: &Router, request: Request<Body>) -> (String, Response<Body>) {
    let response = app.clone().oneshot(request).await.unwrap();
    let seen = response.headers().get("x-cache").map_or("", |value| value.to_str().unwrap()).to_owned();
    (seen, response)
}

async fn fetch(app: &Router, path: &str) -> (String, u16, String) {
    let (seen, response) = ask(app, Request::get(path).body(Body::empty()).unwrap()).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (seen, status, String::from_utf8_lossy(&body).into_owned())
}

fn app(memo: HttpMemo) -> (Router, Arc<AtomicUsize>) {
    let runs = Arc::default();
    (router(&runs).layer(MemoizeLayer::with_memo(cache(), memo)), runs)
}

#[tokio::test]
async fn a_router_is_answered_from_the_cache() {
    let (app, runs) = app(HttpMemo::new());
    let answers = join_all((0..50).map(|_| fetch(&app, "/plain"))).await;
    assert!(answers.iter().all(|answer| *answer == ("miss".to_owned(), 200, "tea".to_owned())));
    assert_eq!(runs.load(SeqCst), 1);
    assert_eq!(fetch(&app, "/plain").await, ("hit".to_owned(), 200, "tea".to_owned()));
    assert_eq!(fetch(&app, "/missing").await.0, "miss");
    assert_eq!(fetch(&app, "/missing").await, ("hit".to_owned(), 404, "none".to_owned()));
    assert_eq!(fetch(&app, "/plain?page=2").await.0, "miss");
    for seen in ["miss", "hit"] {
        let (answered, response) = ask(&app, Request::get("/binary").body(Body::empty()).unwrap()).await;
        assert_eq!(answered, seen);
        assert_eq!(to_bytes(response.into_body(), 9).await.unwrap(), &[0, 159, 146, 255][..]);
    }
}

#[tokio::test]
async fn age_and_lifetime_are_those_of_the_response() {
    let clock = ManualClock::new();
    let runs = Arc::default();
    let app = router(&runs).layer(MemoizeLayer::with_memo(builder(&clock).build().unwrap(), HttpMemo::new()));
    let get = || Request::get("/short").body(Body::empty()).unwrap();
    let (seen, response) = ask(&app, get()).await;
    assert!(seen == "miss" && !response.headers().contains_key("age"));
    clock.advance(Duration::from_secs(4));
    let (seen, response) = ask(&app, get()).await;
    assert_eq!((seen.as_str(), &response.headers()["age"]), ("hit", &header::HeaderValue::from_static("4")));
    assert_eq!(response.headers()["x-run"], "1");
    clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&app, get()).await.0, "miss");
}

#[tokio::test]
async fn what_is_not_for_all_is_each_callers_own() {
    let (app, runs) = app(HttpMemo::new());
    for kind in ["private", "cookie"] {
        let before = runs.load(SeqCst);
        let path = format!("/{kind}");
        let answers = join_all((0..10).map(|_| fetch(&app, &path))).await;
        assert!(answers.iter().all(|answer| *answer == ("pass".to_owned(), 200, "mine".to_owned())), "{kind}");
        assert_eq!(runs.load(SeqCst) - before, 10, "{kind}");
    }
    let request = |name, value: &str| Request::get("/plain").header(name, value).body(Body::empty()).unwrap();
    for (name, value) in [("authorization", "Bearer x"), ("cookie", "a=b"), ("range", "bytes=0-1")] {
        assert_eq!(ask(&app, request(name, value)).await.0, "pass", "{name}");
        assert_eq!(ask(&app, request(name, value)).await.0, "pass", "{name}");
    }
    for _ in 0..2 {
        let post = Request::post("/plain").body(Body::from("x")).unwrap();
        assert_eq!(ask(&app, post).await.0, "pass");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_stored_goes_out_whole() {
    let (app, _) = app(HttpMemo::new().body_limit(10_500));
    let whole: Vec<u8> = (0..100_u8).flat_map(|n| [n; 1000]).collect();
    for _ in 0..2 {
        let (seen, response) = ask(&app, Request::get("/large").body(Body::empty()).unwrap()).await;
        assert_eq!(seen, "pass");
        assert_eq!(to_bytes(response.into_body(), usize::MAX).await.unwrap(), whole);
        let (seen, status, body) = fetch(&app, "/lying").await;
        assert_eq!((seen.as_str(), status, body.as_str()), ("pass", 200, "half"));
    }
    for _ in 0..2 {
        let (seen, response) = ask(&app, Request::get("/torn").body(Body::empty()).unwrap()).await;
        assert_eq!((seen.as_str(), response.status()), ("pass", StatusCode::OK));
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err(), "its end is its own");
    }
    for _ in 0..2 {
        let (seen, response) = ask(&app, Request::get("/trailing").body(Body::empty()).unwrap()).await;
        assert_eq!(seen, "pass");
        let mut body = Box::pin(response.into_body());
        let mut frames = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            frames.push(frame.unwrap());
        }
        assert!(frames.len() == 2 && frames[0].is_data() && frames[1].is_trailers());
    }
}

#[tokio::test]
async fn an_endless_stream_is_not_waited_for() {
    let events = service_fn(|_: Request<Body>| async {
        let body = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        Ok::<_, Infallible>(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
    });
    let service = MemoizeLayer::with_memo(cache(), HttpMemo::new()).layer(events);
    let response = service.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["x-cache"], "pass");
}

#[tokio::test]
async fn tags_of_a_response_invalidate_it_and_do_not_leave_the_house() {
    let (cache, runs) = (cache(), Arc::default());
    let memo = HttpMemo::new().tag_header(HeaderName::from_static("cache-tag")).status_header(None);
    let app = router(&runs).layer(MemoizeLayer::with_memo(cache.clone(), memo));
    for expected in [1, 1, 2] {
        let (_, response) = ask(&app, Request::get("/tagged").body(Body::empty()).unwrap()).await;
        assert!(!response.headers().contains_key("cache-tag") && !response.headers().contains_key("x-cache"));
        assert_eq!(response.headers()["x-run"], expected.to_string());
        if runs.load(SeqCst) == 1 && cache.stats().hits == 1 {
            cache.invalidate_tag("shop:7").await.unwrap();
        }
    }
    let before = runs.load(SeqCst);
    for _ in 0..2 {
        let (_, response) = ask(&app, Request::get("/mistagged").body(Body::empty()).unwrap()).await;
        assert!(!response.headers().contains_key("cache-tag"));
    }
    assert_eq!(runs.load(SeqCst) - before, 2, "what cannot be invalidated is not stored");
}

#[tokio::test]
async fn head_has_an_entry_of_its_own() {
    let (app, runs) = app(HttpMemo::new());
    for seen in ["miss", "hit"] {
        let head = Request::builder().method(Method::HEAD).uri("/plain").body(Body::empty()).unwrap();
        let (answered, response) = ask(&app, head).await;
        assert_eq!(answered, seen);
        assert!(to_bytes(response.into_body(), 9).await.unwrap().is_empty());
    }
    assert_eq!(fetch(&app, "/plain").await, ("miss".to_owned(), 200, "tea".to_owned()));
    assert_eq!(runs.load(SeqCst), 2);
}

#[tokio::test]
async fn tenants_of_a_router_do_not_see_each_other() {
    let tenanted = builder(&ManualClock::new()).build_tenanted().unwrap();
    let runs = Arc::default();
    let layer = MemoizeLayer::with_memo(tenanted, HttpMemo::new())
        .tenant_with(|request: &Request<Body>| TenantId::new(request.headers().get("x-tenant")?.to_str().ok()?).ok());
    let app = router(&runs).layer(layer);
    let ask = async |tenant: &str| {
        let request = Request::get("/plain").header("x-tenant", tenant).body(Body::empty()).unwrap();
        ask(&app, request).await.0
    };
    assert_eq!([ask("a").await, ask("b").await, ask("a").await, ask("a:b").await], ["miss", "miss", "hit", "pass"]);
}

#[tokio::test]
async fn failures_are_answers() {
    let (app, _) = app(HttpMemo::new());
    assert_eq!(fetch(&app, "/broken").await, ("pass".to_owned(), 503, "broken".to_owned()));
    let (seen, status, body) = fetch(&app, "/panic").await;
    assert_eq!((seen.as_str(), status), ("pass", 500));
    assert_eq!(body, r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#);

    for (error, expected) in [(ErrorKind::Overloaded, 503), (ErrorKind::Protocol, 500), (ErrorKind::Unavailable, 200)] {
        let refuse = service_fn(move |_: memstache_core::Request| {
            let error = Error::new(error, "x").with_retry_after(Duration::from_millis(1_500));
            std::future::ready(Err::<memstache_core::Response, _>(error))
        });
        let cache = Cache::builder(ErasedService::new(refuse)).keyspace("k").format(Json).build().unwrap();
        let app = router(&Arc::default()).layer(MemoizeLayer::with_memo(cache, HttpMemo::new()));
        let (_, response) = ask(&app, Request::get("/plain").body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), expected, "{error:?}");
        if expected == 503 {
            assert_eq!(response.headers()["retry-after"], "2");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
    }
    let failing = service_fn(|_: Request<Body>| std::future::ready(Err::<Response<Body>, _>(std::fmt::Error)));
    let service = MemoizeLayer::with_memo(cache(), HttpMemo::new()).layer(failing);
    let response = service.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_load_that_takes_too_long_is_a_gateway_timeout() {
    let clock = ManualClock::new();
    let slow = service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
    let service = MemoizeLayer::with_memo(builder(&clock).build().unwrap(), HttpMemo::new()).layer(slow);
    let call = tokio::spawn(service.oneshot(Request::get("/").body(Body::empty()).unwrap()));
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(31));
    assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_source_that_fails_gives_way_to_a_stale_answer() {
    let clock = ManualClock::new();
    let failing = Arc::new(AtomicUsize::new(0));
    let inner = {
        let failing = Arc::clone(&failing);
        service_fn(move |_: Request<Body>| {
            let status = if failing.load(SeqCst) == 1 { 500 } else { 200 };
            let response = Response::builder().status(status).header("cache-control", "max-age=5, stale-if-error=60");
            std::future::ready(Ok::<_, Infallible>(response.body(Body::from("tea")).unwrap()))
        })
    };
    let cache = builder(&clock).soft_timeout(MINUTE).build().unwrap();
    let service = MemoizeLayer::with_memo(cache, HttpMemo::new()).layer(inner);
    let ask = async || {
        let response = service.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        (response.status().as_u16(), response.headers()["x-cache"].to_str().unwrap().to_owned())
    };
    assert_eq!(ask().await, (200, "miss".to_owned()));
    failing.store(1, SeqCst);
    clock.advance(Duration::from_secs(10));
    assert_eq!(ask().await, (200, "stale".to_owned()));
    clock.advance(MINUTE);
    assert_eq!(ask().await, (500, "pass".to_owned()));
}
