//! One test for each rule of the stack's order, whatever the order in which layers are given.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use memstache_core::{
    Address, BoxFuture, Cache, Coherence, Error, ErrorKind, Get, InvalidationStream, Json, KeyspaceName, MemoryStore,
    NearConfig, Request, Response, Result, Space, Stack, Step, Transform,
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
