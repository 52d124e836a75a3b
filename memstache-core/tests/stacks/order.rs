//! One test for each rule of the stack's order, whatever the order in which layers are given.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use memstache_core::{
    Address, BoxFuture, Cache, Clock, Coherence, Error, ErrorKind, Get, InvalidationStream, Json, KeyspaceName,
    MemoryStore, NearConfig, Request, Response, Result, Space, Stack, Step, Transform,
};
use tower::{Layer, Service};

/// Where a request has been.
#[derive(Clone, Default)]
struct Trail(Arc<Mutex<Vec<&'static str>>>);

impl Trail {
    fn mark(&self, place: &'static str) -> Mark {
        Mark { trail: self.clone(), place }
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A layer and a transform that leaves its name on the trail.
#[derive(Clone)]
struct Mark {
    trail: Trail,
    place: &'static str,
}

impl<S> Layer<S> for Mark {
    type Service = Marked<S>;

    fn layer(&self, inner: S) -> Marked<S> {
        Marked { inner, mark: self.clone() }
    }
}

#[derive(Clone)]
struct Marked<S> {
    inner: S,
    mark: Mark,
}

impl<S: Service<Request>> Service<Request> for Marked<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        self.mark.trail.0.lock().unwrap().push(self.mark.place);
        self.inner.call(request)
    }
}

impl Transform for Mark {
    type Pending = ();

    fn request(&self, request: Request) -> Step<(Request, ())> {
        self.trail.0.lock().unwrap().push(self.place);
        Step::Now(Ok((request, ())))
    }

    fn response(&self, (): (), response: Response) -> Step<Response> {
        Step::Now(Ok(response))
    }
}

fn address() -> Address {
    Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), "a").unwrap()
}

fn store() -> MemoryStore {
    MemoryStore::builder().max_bytes(1 << 20).build().unwrap()
}

#[tokio::test]
async fn layers_end_up_in_order_however_they_are_given() {
    let trail = Trail::default();
    let stack = Stack::over(store())
        .timeout(trail.mark("timeout"))
        .observe(trail.mark("observe"))
        .seal(trail.mark("seal"))
        .limit(trail.mark("limit"))
        .retry(trail.mark("retry"))
        .quota(trail.mark("quota"))
        .compress(trail.mark("compress"))
        .build();
    stack.dispatch(Get::one(address())).await.unwrap();
    assert_eq!(trail.take(), ["observe", "quota", "limit", "compress", "seal", "retry", "timeout"]);
}

#[tokio::test]
async fn a_near_hit_passes_observe_and_quota_and_nothing_else() {
    let trail = Trail::default();
    let stack = Stack::over(store())
        .limit(trail.mark("limit"))
        .seal(trail.mark("seal"))
        .near(NearConfig::new(1 << 20).unwrap())
        .quota(trail.mark("quota"))
        .observe(trail.mark("observe"))
        .build();
    let cache = Cache::builder(stack.clone()).keyspace("k").format(Json).build().unwrap();
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    trail.take();
    stack.dispatch(Get::one(address())).await.unwrap();
    assert_eq!(trail.take(), ["observe", "quota"]);
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    assert_eq!(trail.take(), [""; 0], "through the handle it passes nothing at all");
}

#[tokio::test]
async fn a_near_hit_does_not_wait_for_the_permit_of_a_busy_store() {
    let stack = Stack::over(Gated::default())
        .near(NearConfig::new(1 << 20).unwrap())
        .limit(tower::limit::ConcurrencyLimitLayer::new(1))
        .build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    let mut blocked = tokio_test::task::spawn(cache.get::<u8>("blocked"));
    assert!(blocked.poll().is_pending(), "holds the only permit");
    let mut queued = tokio_test::task::spawn(cache.get::<u8>("other"));
    assert!(queued.poll().is_pending(), "waits for it");
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
}

#[tokio::test]
async fn hits_are_not_shed() {
    let stack = Stack::over(Gated::default())
        .near(NearConfig::new(1 << 20).unwrap())
        .limit(
            tower::ServiceBuilder::new()
                .layer(tower::load_shed::LoadShedLayer::new())
                .layer(tower::limit::ConcurrencyLimitLayer::new(1))
                .into_inner(),
        )
        .build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    let mut blocked = tokio_test::task::spawn(cache.get::<u8>("blocked"));
    assert!(blocked.poll().is_pending());
    let shed = cache.get::<u8>("other").await.unwrap_err();
    assert_eq!(shed.kind(), ErrorKind::Overloaded);
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_timeout_is_per_attempt_and_the_handles_deadline_bounds_the_queue() {
    let stack = Stack::over(Gated::default())
        .limit(tower::limit::ConcurrencyLimitLayer::new(1))
        .timeout(tower::timeout::TimeoutLayer::new(std::time::Duration::from_secs(60)))
        .build();
    let cache = Cache::builder(stack)
        .keyspace("k")
        .format(Json)
        .store_timeout(std::time::Duration::from_millis(100))
        .build()
        .unwrap();
    let mut blocked = tokio_test::task::spawn(cache.service().dispatch(Get::one(named("blocked"))));
    assert!(blocked.poll().is_pending());
    let queued = cache.get::<u8>("other").await.unwrap_err();
    assert_eq!(queued.kind(), ErrorKind::Timeout, "waiting for readiness counts");
}

/// Tries again, so many times.
#[derive(Clone)]
struct Attempts(usize);

impl<E> tower::retry::Policy<Request, Response, E> for Attempts {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Request, result: &mut Result<Response, E>) -> Option<Self::Future> {
        self.0 = self.0.checked_sub(1).filter(|_| result.is_err())?;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_time_and_repeats_no_transform() {
    let trail = Trail::default();
    // Hangs twice, then answers.
    let calls = Arc::new(Mutex::new(0));
    let leaf = tower::service_fn(move |request: Request| {
        let (mut store, calls) = (store(), Arc::clone(&calls));
        async move {
            *calls.lock().unwrap() += 1;
            if *calls.lock().unwrap() < 3 {
                std::future::pending::<()>().await;
            }
            store.call(request).await
        }
    });
    let attempt = std::time::Duration::from_millis(900);
    let stack = Stack::over(leaf)
        .timeout(tower::ServiceBuilder::new().layer(trail.mark("attempt")).timeout(attempt).into_inner())
        .retry(tower::retry::RetryLayer::new(Attempts(5)))
        .seal(trail.mark("seal"))
        .compress(trail.mark("compress"))
        .build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    let clock = memstache_core::SystemClock::new();
    let started = clock.now();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
    assert_eq!(clock.now().since(started).as_millis() / 100, 18, "two attempts of 0.9 s were cut off");
    assert_eq!(trail.take(), ["compress", "seal", "attempt", "attempt", "attempt"]);
}

#[tokio::test]
async fn what_is_shed_costs_no_transform() {
    let trail = Trail::default();
    let shed = tower::ServiceBuilder::new().load_shed().concurrency_limit(1);
    let stack = Stack::over(Gated::default()).compress(trail.mark("compress")).limit(shed.into_inner()).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    let mut blocked = tokio_test::task::spawn(cache.get::<u8>("blocked"));
    assert!(blocked.poll().is_pending());
    assert_eq!(trail.take(), ["compress"]);
    assert_eq!(cache.get::<u8>("other").await.unwrap_err().kind(), ErrorKind::Overloaded);
    assert_eq!(trail.take(), [""; 0]);
}

/// Makes runs of one byte short.
#[derive(Clone)]
struct Runs;

impl Transform for Runs {
    type Pending = ();

    fn request(&self, mut request: Request) -> Step<(Request, ())> {
        for (_, entry) in request.entries_mut() {
            let runs = entry.value.chunk_by(|a, b| a == b);
            entry.value = runs.flat_map(|run| [u8::try_from(run.len()).unwrap_or(u8::MAX), run[0]]).collect();
        }
        Step::Now(Ok((request, ())))
    }

    fn response(&self, (): (), mut response: Response) -> Step<Response> {
        for entry in response.entries_mut() {
            entry.value = entry.value.chunks(2).flat_map(|run| vec![run[1]; run[0].into()]).collect();
        }
        Step::Now(Ok(response))
    }
}

/// Adds to each byte its place: what was alike is not any more.
#[derive(Clone)]
struct Hide;

impl Transform for Hide {
    type Pending = ();

    fn request(&self, mut request: Request) -> Step<(Request, ())> {
        let hide = |(place, byte): (usize, &u8)| byte.wrapping_add(place as u8).wrapping_add(101);
        request.entries_mut().for_each(|(_, entry)| entry.value = entry.value.iter().enumerate().map(hide).collect());
        Step::Now(Ok((request, ())))
    }

    fn response(&self, (): (), mut response: Response) -> Step<Response> {
        let show = |(place, byte): (usize, &u8)| byte.wrapping_sub(place as u8).wrapping_sub(101);
        response.entries_mut().for_each(|entry| entry.value = entry.value.iter().enumerate().map(show).collect());
        Step::Now(Ok(response))
    }
}

/// A memory store that keeps what reached it.
#[derive(Clone)]
struct Seen {
    store: MemoryStore,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Seen {
    fn new() -> Self {
        Self { store: store(), requests: Arc::default() }
    }
}

impl Service<Request> for Seen {
    type Response = Response;
    type Error = Error;
    type Future = memstache_core::MemoryFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.requests.lock().unwrap().push(request.clone());
        self.store.call(request)
    }
}

#[tokio::test]
async fn values_are_compressed_before_they_are_sealed() {
    let leaf = Seen::new();
    let stack = Stack::over(leaf.clone()).seal(Hide).compress(Runs).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    let value = "a".repeat(200);
    cache.set("a", &value).await.unwrap();
    let stored = leaf.requests.lock().unwrap()[0].entries_mut().map(|(_, entry)| entry.value.len()).next();
    assert_eq!(stored, Some(6), "three runs: a quote, the letters, a quote");
    assert_eq!(cache.get::<String>("a").await.unwrap(), Some(value));
}

#[tokio::test]
async fn whatever_is_asked_the_store_sees_the_tenant_and_no_plain_value() {
    let leaf = Seen::new();
    let stack = Stack::over(leaf.clone()).seal(Hide).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build_tenanted().unwrap();
    let tenant = memstache_core::TenantId::new("acme").unwrap();
    let acme = cache.for_tenant(&tenant);
    let load = |_| async { Ok::<_, std::io::Error>("secret".to_owned()) };
    acme.set("a", "secret").tags(["t"]).await.unwrap();
    acme.set_many([("b", "secret"), ("c", "secret")]).await.unwrap();
    assert_eq!(acme.get_or_load::<String, _, _, _, _, _>("d", load).await.unwrap(), "secret");
    assert_eq!(acme.get::<String>("a").await.unwrap().as_deref(), Some("secret"));
    assert!(acme.exists("b").await.unwrap() && acme.touch("c").await.unwrap());
    assert_eq!(acme.explain("a").await.unwrap().reason, None, "it is opened on its way up");
    acme.remove("a").await.unwrap();
    acme.invalidate_tag("t").await.unwrap();
    acme.clear().await.unwrap();
    cache.clear_tenant(&tenant).await.unwrap();
    let mut requests = leaf.requests.lock().unwrap();
    let names: std::collections::BTreeSet<_> = requests.iter().map(Request::name).collect();
    assert_eq!(names.len(), 6, "one of every operation: {names:?}");
    for request in requests.iter_mut() {
        assert!(request.tenants().count() > 0 && request.tenants().all(|tenant| tenant == Some("acme")), "{request:?}");
        assert!(request.addresses().all(|address| address.stored().starts_with(b"acme:k:")));
        let plain = |value: &[u8]| value.windows(6).any(|window| window == b"secret");
        assert!(request.entries_mut().all(|(_, entry)| !plain(&entry.value)));
    }
}

#[tokio::test]
async fn what_a_seal_does_not_know_is_refused_and_not_passed() {
    let stack = Stack::over(store()).seal(ReadsOnly).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
    assert_eq!(cache.set("a", &1).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
}

/// Fails closed: passes reads only.
#[derive(Clone)]
struct ReadsOnly;

impl Transform for ReadsOnly {
    type Pending = ();

    fn request(&self, request: Request) -> Step<(Request, ())> {
        match request {
            Request::Get(_) => Step::Now(Ok((request, ()))),
            _ => Step::Now(Err(Error::new(ErrorKind::Unsupported, "only reads are known here"))),
        }
    }

    fn response(&self, (): (), response: Response) -> Step<Response> {
        Step::Now(Ok(response))
    }
}

fn named(name: &str) -> Address {
    Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), name).unwrap()
}

/// A memory store that never answers about the key `blocked`.
#[derive(Clone)]
struct Gated(MemoryStore);

impl Default for Gated {
    fn default() -> Self {
        Self(store())
    }
}

impl Coherence for Gated {
    fn subscribe(&self) -> InvalidationStream {
        self.0.subscribe()
    }
}

impl Service<Request> for Gated {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.addresses().any(|address| address.name() == b"blocked") {
            return Box::pin(std::future::pending());
        }
        Box::pin(self.0.call(request))
    }
}
