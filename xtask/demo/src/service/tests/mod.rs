use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header},
    response::Response,
};
use indicatif::ProgressBar;
use memstache_core::{
    Error, ErrorKind,
    resilience::BreakerState,
    testing::{Fault, ManualClock},
};
use memstache_tenancy::Tenants;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::{
    cache::Lives,
    database::{Reach, Size},
    keys::Keys,
    plans,
    store::Kept,
    temporary::Temporary,
};

mod shops;

const SIZE: Size = Size { shops: 2, products: 60, seed: 5 };

/// The service over a database of its own.
struct Bench {
    app: Arc<App>,
    router: Router,
    /// The one of the quotas.
    clock: ManualClock,
    folder: Temporary,
}

impl Bench {
    async fn new() -> Self {
        let folder = Temporary::new().unwrap();
        let file = folder.path().join("x.db");
        let database = Database::open(&file, SIZE, &ProgressBar::hidden(), &Shutdown::new()).unwrap();
        let clock = ManualClock::new();
        let tenants = Tenants::builder(plans::unmetered(SIZE).unwrap()).clock(clock.clone()).build().unwrap();
        let (store, keys) = (Kept::in_memory(SIZE, &tenants).unwrap(), Keys::new().await.unwrap());
        let caches = Caches::new(store, tenants, keys, Lives::of(Duration::from_secs(600))).unwrap();
        let app = Arc::new(App::new(database, caches).unwrap());
        Self { router: Arc::clone(&app).router(), app, clock, folder }
    }

    async fn ask(&self, method: Method, path: &str, body: impl Into<Body>) -> Response {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        // Of the first shop, unless the path is a whole address.
        let request = if path.starts_with('/') { request.header("x-shop", "shop-01") } else { request };
        self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, String, Value) {
        let response = self.ask(Method::GET, path, Body::empty()).await;
        let cache = response.headers().get(X_CACHE).map_or("", |value| value.to_str().unwrap()).to_owned();
        (response.status(), cache, body(response).await)
    }

    /// Asks for what succeeds, and returns how the cache answered.
    async fn outcome(&self, path: &str) -> String {
        let (status, cache, _) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        cache
    }
}

async fn body(response: Response) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
}

fn draft(category: &str) -> Value {
    json!({ "name": "Tray", "description": "", "category": category, "tags": [], "price_cents": 9, "stock": 0 })
}

#[tokio::test]
async fn a_product_is_loaded_once_and_its_absence_too() {
    let bench = Bench::new().await;
    let path = "/products/7";
    assert_eq!(bench.outcome(path).await, "miss");
    assert_eq!(bench.outcome(path).await, "hit");
    assert_eq!(bench.outcome("http://shop-02.localhost/products/7").await, "miss", "another tenant");
    assert_eq!(bench.outcome("/uncached/products/7").await, "bypass");
    for cache in ["miss", "negative"] {
        let (status, seen, body) = bench.get("/products/61").await;
        assert_eq!((status, seen.as_str()), (StatusCode::NOT_FOUND, cache));
        assert_eq!(body["title"], "Not Found");
    }
    let (_, _, stats) = bench.get("/stats").await;
    assert_eq!(stats["cache"]["loads"], 3);
    assert_eq!(stats["queries"]["cached"], json!({ "total": 3, "distinct": 3, "most": 1 }));
    assert_eq!(stats["queries"]["uncached"]["total"], 1);
}

#[tokio::test]
async fn a_write_is_read_at_once_and_moves_the_product_between_lists() {
    let bench = Bench::new().await;
    let (path, lists) = ("/products/7", ["tea", "toys"].map(|name| format!("/categories/{name}")));
    for category in ["tea", "toys"] {
        for list in &lists {
            bench.outcome(list).await;
            assert_eq!(bench.outcome(list).await, "hit");
        }
        let put = bench.ask(Method::PUT, path, draft(category).to_string()).await;
        assert_eq!(put.status(), StatusCode::OK);
        let (_, cache, product) = bench.get(path).await;
        assert_eq!((cache.as_str(), &product["category"]), ("hit", &json!(category)));
        assert_eq!(product, bench.get("/uncached/products/7").await.2);
        for list in &lists {
            let (_, cache, lines) = bench.get(list).await;
            let listed = lines.as_array().unwrap().iter().any(|line| line["id"] == 7);
            assert_eq!(listed, list.ends_with(category), "{list}");
            assert!(cache == "miss" || !listed);
        }
    }
}

#[tokio::test]
async fn a_tag_hides_the_products_and_lists_of_its_category_only() {
    let bench = Bench::new().await;
    for (id, category) in [(1, "tea"), (2, "toys")] {
        let path = format!("/products/{id}");
        assert_eq!(bench.ask(Method::PUT, &path, draft(category).to_string()).await.status(), StatusCode::OK);
        bench.outcome(&format!("/categories/{category}")).await;
    }
    let path = "/categories/tea/reprice";
    let repriced = bench.ask(Method::POST, path, json!({ "percent": 100 }).to_string()).await;
    assert!(body(repriced).await["products"].as_u64() >= Some(1));
    let (_, cache, product) = bench.get("/products/1").await;
    assert_eq!((cache.as_str(), &product["price_cents"]), ("miss", &json!(18)));
    assert_eq!(bench.outcome("/categories/tea").await, "miss");
    assert_eq!(bench.outcome("/products/2").await, "hit");
    assert_eq!(bench.outcome("/categories/toys").await, "hit");
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let bench = Bench::new().await;
    let (get, put, post) = (Method::GET, Method::PUT, Method::POST);
    let product = "/products/7";
    let reprice = "/categories/tea/reprice";
    let long = json!({ "name": "x".repeat(MOST_BODY) }).to_string();
    let nameless =
        json!({ "name": "", "description": "", "category": "tea", "tags": [], "price_cents": 9, "stock": 0 });
    for (method, path, body_text, status, detail) in [
        (&get, "/explain/shop-03:7", "", 400, "from shop-01 to shop-02"),
        (&get, "/explain/shop-1:7", "", 400, "from shop-01 to shop-02"),
        (&get, "/products/x", "", 400, "a number from 1"),
        (&get, "/uncached/products/0", "", 400, "a number from 1"),
        (&get, "/categories/boats", "", 400, "one of books, camping"),
        (&get, "/categories/tea?sort=size", "", 400, "sort=newest"),
        (&get, "/nowhere", "", 404, "nothing at this path"),
        (&post, product, "", 405, "this method"),
        (&put, product, "{", 400, "not JSON"),
        (&put, product, "{}", 400, "lacks a field"),
        (&put, product, &draft("boats").to_string(), 400, "the wrong type or value"),
        (&put, product, &nameless.to_string(), 400, "name must be 1 to 120"),
        (&put, product, &long, 413, "16 KiB"),
        (&put, "/products/61", &draft("tea").to_string(), 404, "no such product"),
        (&post, reprice, r#"{"percent":101}"#, 400, "from -90 to 100"),
        (&post, reprice, r#"{"percent":1,"x":1}"#, 400, "lacks a field"),
    ] {
        let response = bench.ask(method.clone(), path, body_text.to_owned()).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json", "{method} {path}");
        let body = body(response).await;
        assert_eq!(body["status"], status);
        assert!(body["detail"].as_str().unwrap().contains(detail), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn a_failing_source_is_a_503_that_gives_nothing_away() {
    let bench = Bench::new().await;
    let (_, _, health) = bench.get("/healthz").await;
    assert_eq!([&health["status"], &health["database"], &health["cache"]], ["ok"; 3]);
    assert_eq!(health["parts"]["condition"], "healthy", "{health}");
    assert_eq!(bench.outcome("/products/7").await, "miss");
    let file = bench.folder.path().join("x.db");
    rusqlite::Connection::open(file).unwrap().execute_batch("DROP TABLE products").unwrap();

    for path in ["/products/8", "/uncached/products/8", "/categories/tea"] {
        let response = bench.ask(Method::GET, path, Body::empty()).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        let text = body(response).await.to_string();
        assert!(!text.contains("table") && !text.contains("SQL"), "{text}");
    }
    assert_eq!(bench.outcome("/products/7").await, "hit", "what is cached is still there");
    let (status, _, health) = bench.get("/healthz").await;
    assert_eq!((status, &health["database"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("failing")));
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_part_the_database_from_the_cache() {
    let bench = Bench::new().await;
    let path = "/products/7";
    bench.outcome(path).await;
    let put = bench.ask(Method::PUT, path, draft("tea").to_string());
    // Polled once and dropped: the write has begun, and nobody waits for it.
    drop(timeout(Duration::ZERO, put).await);
    while bench.get("/uncached/products/7").await.2["name"] != "Tray" {
        tokio::task::yield_now().await;
    }
    // The next write waits for its turn, until the first one is in the cache too.
    bench.ask(Method::PUT, "/products/8", draft("tea").to_string()).await;
    assert_eq!(bench.get(path).await.2["name"], "Tray");
}

#[tokio::test]
async fn metrics_are_served_as_prometheus_reads_them() {
    let bench = Bench::new().await;
    for _ in 0..3 {
        bench.outcome("/products/7").await;
    }
    let response = bench.ask(Method::GET, "/metrics", Body::empty()).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    let text = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    for line in [
        "memstache_requests_total{memstache_cache=\"catalogue\",memstache_outcome=\"hit\"} 2",
        "memstache_requests_total{memstache_cache=\"catalogue\",memstache_outcome=\"miss\"} 1",
        "memstache_load_duration_seconds_count{memstache_cache=\"catalogue\",memstache_result=\"ok\"} 1",
        "memstache_tier_entries{memstache_cache=\"catalogue\",memstache_tier=\"store\"} 1",
        "memstache_breaker_state{memstache_cache=\"catalogue\",memstache_breaker=\"store\",memstache_state=\"closed\"} 1",
        "memstache_breaker_opened_total{memstache_cache=\"catalogue\",memstache_breaker=\"source\"} 0",
        "memstache_shed_total{memstache_cache=\"catalogue\",memstache_limit=\"calls\"} 0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_key_is_explained_without_being_loaded() {
    let bench = Bench::new().await;
    let (status, _, before) = bench.get("/explain/shop-01:7").await;
    assert_eq!((status, &before["outcome"]), (StatusCode::OK, &json!("miss")), "{before}");
    assert_eq!(bench.outcome("/products/7").await, "miss", "nothing was loaded");
    assert_eq!(bench.get("/explain/shop-01:7").await.2["outcome"], "hit");
    for wrong in ["/explain/7", "/explain/shop-09:7", "/explain/shop-01:x"] {
        assert_eq!(bench.get(wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn health_tells_which_part_is_broken_and_that_it_is_back() {
    let bench = Bench::new().await;
    let part = |health: &Value, name: &str| {
        let parts = health["parts"]["parts"].as_array().unwrap();
        parts.iter().find(|part| part["part"] == name).cloned().unwrap_or_else(|| panic!("{name}: {health}"))
    };
    let (status, _, health) = bench.get("/healthz").await;
    assert_eq!(status, StatusCode::OK);
    for name in ["near", "breaker", "source", "limits", "memory"] {
        assert_eq!(part(&health, name)["condition"], "healthy", "{health}");
    }
    bench.app.caches.faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "the store is gone")));
    while bench.app.caches.resilience.breaker().unwrap().state() == BreakerState::Closed {
        assert_eq!(bench.get("/healthz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    let (status, _, health) = bench.get("/healthz").await;
    assert_eq!((status, &health["cache"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("failing")));
    assert_eq!((&part(&health, "breaker")["values"]["state"], &health["database"]), (&json!("open"), &json!("ok")));
    assert_eq!(bench.outcome("/products/7").await, "miss", "the loader answers without the store");
    bench.app.caches.faults.heal();
    // The store is probed off the path of requests.
    while bench.app.caches.resilience.breaker().unwrap().state() != BreakerState::Closed {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.get("/healthz").await.0, StatusCode::OK);
    // The store does not have it, so the copy of the near cache does not count any more.
    bench.outcome("/products/7").await;

    bench.app.database.outage().becomes(Reach::Hangs);
    let (status, _, health) = bench.get("/healthz").await;
    assert_eq!((status, &health["database"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("failing")), "it does not hang");
    bench.app.database.outage().becomes(Reach::Fails);
    for id in 10..15 {
        let (status, ..) = bench.get(&format!("/products/{id}")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let (_, _, health) = bench.get("/healthz").await;
    assert_eq!(part(&health, "source")["values"]["state"], "open", "{health}");
    assert_eq!(bench.outcome("/products/7").await, "hit");
}
