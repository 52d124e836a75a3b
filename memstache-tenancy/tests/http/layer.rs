//! What the layer does to requests and responses that pass.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::VARY};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use memstache_core::{Cache, Format, FormatId, Json, MemoryStore, Result, Stack, TenantId};
use memstache_tenancy::{NoTenant, Resolver, TenantCache, TenantLayer, TenantRequest};
use serde::{Serialize, de::DeserializeOwned};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt};

use crate::kit::{Body, by_header, caches, get, of, tenant, text, whose};

/// Another format by type.
#[derive(Clone, Copy, Debug)]
struct Text;

impl Format for Text {
    fn id(&self) -> FormatId {
        FormatId::JSON
    }
    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        Json.encode(value)
    }
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        Json.decode(bytes)
    }
}

/// What is logged while something runs on this thread.
pub(crate) async fn logs(work: impl Future<Output = ()>) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);
    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Lines {
        fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            struct Text(String);
            impl tracing::field::Visit for Text {
                fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                    self.0 += &format!(" {}={value:?}", field.name());
                }
            }
            let mut text = Text(event.metadata().level().to_string());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
    let lines = Lines::default();
    let subscriber = tracing_subscriber::registry().with(LevelFilter::DEBUG).with(lines.clone());
    let guard = tracing::subscriber::set_default(subscriber);
    work.await;
    drop(guard);
    let lines = lines.0.lock().unwrap();
    lines.join("\n")
}

#[tokio::test]
async fn a_request_gets_its_tenants_cache() {
    let service = TenantLayer::new(caches(), by_header()).layer(service_fn(whose));
    for shop in ["acme", "umbrella"] {
        assert_eq!(text(service.clone().oneshot(of(shop)).await.unwrap()).await, shop);
    }
}

#[tokio::test]
async fn it_is_resolved_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let resolver = Resolver::builder().with(move |_| {
        count.fetch_add(1, Relaxed);
        Some("acme".into())
    });
    let service =
        TenantLayer::new(caches(), resolver.build().unwrap()).layer(service_fn(|request: Request<Body>| async {
            let (parts, _) = request.into_parts();
            for _ in 0..3 {
                assert_eq!(parts.tenant_cache::<Json>().unwrap().space().tenant(), Some("acme"));
                assert_eq!(parts.extensions.tenant(), Some(&tenant("acme")));
            }
            Ok::<_, Infallible>(Response::new(Body::default()))
        }));
    service.oneshot(of("x")).await.unwrap();
    assert_eq!(asked.load(Relaxed), 1);
}

#[tokio::test]
async fn what_is_exempt_or_shared_has_no_tenant_of_another_layer() {
    let inner = Resolver::builder()
        .header("x-inner")
        .exempt(|parts| parts.uri.path() == "/healthz")
        .dangerously_share_when_missing()
        .build()
        .unwrap();
    let seen = service_fn(|request: Request<Body>| async move {
        assert_eq!(request.tenant(), None);
        whose(request).await
    });
    let service = TenantLayer::new(caches(), by_header()).layer(TenantLayer::new(caches(), inner).layer(seen));
    let ask = |path: &str| {
        let request = get(path).header("x-shop", "acme").body(Body::default()).unwrap();
        let service = service.clone();
        async move { text(service.oneshot(request).await.unwrap()).await }
    };
    assert_eq!(ask("/").await, "(shared)");
    assert_eq!(ask("/healthz").await, NoTenant::Exempt.to_string());
}

/// Two layers, each with a cache of its own format, that do not look at the same place: the inner one decides, and what the
/// outer one left is of no use to a handler that mixes them up.
#[tokio::test]
async fn a_cache_that_a_layer_outside_has_left_for_another_tenant_is_not_given() {
    let inner = Resolver::builder()
        .header("x-inner")
        .exempt(|parts| parts.uri.path() == "/healthz")
        .dangerously_share_when_missing()
        .build()
        .unwrap();
    let texts = {
        let stack = Stack::over(MemoryStore::builder().build().unwrap()).build();
        Cache::builder(stack).keyspace("texts").format(Text).build_tenanted().unwrap()
    };
    let seen = service_fn(|request: Request<Body>| async move {
        let outer = request.tenant_cache::<Text>().map(drop).map_err(|error| error.to_string());
        let inner = request.tenant_cache::<Json>().map(|cache| cache.space().tenant().map(str::to_owned));
        Ok::<_, Infallible>(Response::new(Body::from(format!("{outer:?} {inner:?}"))))
    });
    let service = TenantLayer::new(texts, by_header()).layer(TenantLayer::new(caches(), inner).layer(seen));
    let ask = |path: &str, inner: Option<&str>| {
        let request = get(path).header("x-shop", "acme");
        let request = inner.into_iter().fold(request, |request, inner| request.header("x-inner", inner));
        let service = service.clone();
        let request = request.body(Body::default()).unwrap();
        async move { text(service.oneshot(request).await.unwrap()).await }
    };
    let another = format!("Err({:?})", NoTenant::Another.to_string());
    assert_eq!(ask("/", Some("acme")).await, "Ok(()) Ok(Some(\"acme\"))", "they agree");
    assert_eq!(ask("/", Some("umbrella")).await, format!("{another} Ok(Some(\"umbrella\"))"));
    assert_eq!(ask("/", None).await, format!("{another} Ok(None)"), "shared");
    let exempt = format!("Err({:?}) Err(Exempt)", NoTenant::Exempt.to_string());
    assert_eq!(ask("/healthz", None).await, exempt);
}

#[tokio::test]
async fn a_request_that_was_exempt_outside_is_its_tenants_inside() {
    let outer = Resolver::builder().header("x-outer").exempt(|_| true).build().unwrap();
    let seen = service_fn(|request: Request<Body>| async move {
        assert_eq!(request.tenant_cache::<Text>().map(drop), Err(NoTenant::NoLayer), "it is not exempt");
        whose(request).await
    });
    let service = TenantLayer::new(caches(), outer).layer(TenantLayer::new(caches(), by_header()).layer(seen));
    assert_eq!(text(service.oneshot(of("acme")).await.unwrap()).await, "acme");
}

#[tokio::test]
async fn without_a_layer_there_is_no_cache() {
    let request = of("acme");
    assert_eq!(request.tenant_cache::<Json>().unwrap_err(), NoTenant::NoLayer);
    assert_eq!(request.tenant(), None);
    let mut request = request;
    let cache = caches().for_tenant(&tenant("acme"));
    request.extensions_mut().insert(cache.clone());
    assert_eq!(request.tenant_cache::<Json>().unwrap_err(), NoTenant::NoLayer, "a handle of the application's own");
    request.extensions_mut().insert(TenantCache(cache));
    assert_eq!(request.tenant_cache::<Json>().unwrap().space().tenant(), Some("acme"), "as in a handler's test");
}

#[tokio::test]
async fn requests_and_responses_pass_as_they_are() {
    let frames = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let frames =
            [Ok(Frame::data(Bytes::from("a"))), Ok(Frame::data(Bytes::from("b"))), Ok(Frame::trailers(trailers))];
        StreamBody::new(futures_util::stream::iter(frames.map(|frame: Result<_, io::Error>| frame)))
    };
    let service = TenantLayer::new(caches(), by_header()).layer(service_fn(move |request: Request<Body>| async move {
        assert_eq!((request.method().as_str(), request.uri().path()), ("PUT", "/tea"));
        assert_eq!(request.extensions().get::<u32>(), Some(&7));
        let asked = text(Response::new(request.into_body())).await;
        assert_eq!(asked, "question");
        Ok::<_, Infallible>(Response::builder().status(418).header("x-own", "1").body(frames()).unwrap())
    }));
    let request = Request::put("/tea").header("x-shop", "acme").extension(7_u32).body(Body::from("question")).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["x-own"]), (418, &HeaderValue::from_static("1")));
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(collected.to_bytes(), "ab");
}

#[tokio::test]
async fn responses_vary_by_header_sources_only() {
    let own = |_: Request<Body>| async {
        Ok::<_, Infallible>(Response::builder().header(VARY, "accept").body(Body::default()).unwrap())
    };
    let varies = async |resolver: Resolver| {
        let request =
            get("/").header("x-shop", "acme").header("host", "acme.example.com").body(Body::default()).unwrap();
        let response = TenantLayer::new(caches(), resolver).layer(service_fn(own)).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.headers().get_all(VARY).iter().map(|it| it.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let headers = Resolver::builder().header("x-shop").subdomain("example.com").header("x-other").build().unwrap();
    assert_eq!(varies(headers).await, ["accept", "x-shop, x-other"]);
    assert_eq!(varies(Resolver::builder().subdomain("example.com").build().unwrap()).await, ["accept"]);
}

#[tokio::test]
async fn failures_of_the_inner_service_stay_what_they_are() {
    let fails = service_fn(|_: Request<Body>| async { Err::<Response<Body>, BoxError>("broken".into()) });
    let error = TenantLayer::new(caches(), by_header()).layer(fails).oneshot(of("acme")).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
}

#[tokio::test]
async fn nothing_shows_names() {
    let layer = TenantLayer::new(caches(), by_header());
    let service = layer.layer(service_fn(|request: Request<Body>| async move {
        let shown = format!("{:?}", request.extensions().get::<TenantCache<Json>>());
        assert!(shown.contains("TenantCache") && !shown.contains("acme"), "{shown}");
        assert!(request.extensions().get::<TenantId>().is_some());
        whose(request).await
    }));
    let future = service.oneshot(of("acme"));
    let response = future.await.unwrap();
    let shown = format!("{:?} {layer:?}", response.body());
    assert!(!shown.contains("acme"), "{shown}");
}

#[test]
fn what_is_public_can_be_sent_and_shown() {
    fn all<T: Send + Sync + std::fmt::Debug>() {}
    all::<TenantLayer<Json>>();
    all::<
        memstache_tenancy::TenantService<
            tower::util::BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
            Json,
        >,
    >();
    all::<memstache_tenancy::TenantFuture<std::future::Ready<()>, Body>>();
    all::<memstache_tenancy::TenantBody<Body>>();
    all::<TenantCache<Json>>();
    all::<memstache_tenancy::ResolverBuilder>();
    all::<Resolver>();
}
