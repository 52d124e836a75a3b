//! tower's contract: the service that was made ready is the one that is called, and nothing is held without a call.

use std::{
    convert::Infallible,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use http::{Request, Response};
use memstache_tenancy::{TenantLayer, TenantService};
use tokio_test::{assert_pending, assert_ready};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_test::mock;

use crate::kit::{Body, by_header, caches, get, of, whose};

fn nobodys() -> Request<Body> {
    get("/").body(Body::default()).unwrap()
}

fn layer() -> TenantLayer<memstache_core::Json> {
    TenantLayer::new(caches(), by_header())
}

/// A service whose clones are not ready, and that is furious about calls before it is.
#[derive(Debug)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl Service<Request<Body>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        std::future::ready(Ok(Response::new(Body::default())))
    }
}

#[tokio::test]
async fn the_ready_one_is_called() {
    let mut service = layer().layer(Strict { ready: false });
    for request in [of("acme"), nobodys(), of("acme"), nobodys(), nobodys(), of("umbrella")] {
        let refused = request.headers().is_empty();
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status().as_u16(), if refused { 400 } else { 200 });
        assert!(!service.get_ref().ready, "nothing stays behind");
    }
}

#[tokio::test]
async fn a_refused_request_gives_its_permit_back() {
    let limited = ConcurrencyLimitLayer::new(1).layer(service_fn(whose));
    let (mut one, mut other) = (layer().layer(limited.clone()), layer().layer(limited));
    let response = one.ready().await.unwrap().call(nobodys()).await.unwrap();
    assert_eq!(response.status(), 400);
    // `one` is still there, as on a connection that is kept alive.
    let mut other = tokio_test::task::spawn(other.ready());
    assert_ready!(other.poll()).unwrap();
    drop(other);
    drop(one);
}

#[tokio::test]
async fn readiness_is_the_inner_services() {
    let (mock, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let mut service = mock::Spawn::new(layer().layer(mock));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready!(service.poll_ready()).unwrap();
    let mut response = tokio_test::task::spawn(service.call(of("acme")));
    assert_pending!(response.poll());
    let (_, send) = handle.next_request().await.unwrap();
    send.send_response(Response::new(Body::default()));
    assert_eq!(assert_ready!(response.poll()).unwrap().status(), 200);
    handle.send_error("gone");
    assert!(assert_ready!(service.poll_ready()).is_err());
}

#[tokio::test]
async fn a_dropped_call_drops_what_is_below() {
    let held = Arc::new(());
    let watch: Weak<()> = Arc::downgrade(&held);
    let held = Arc::new(std::sync::Mutex::new(Some(held)));
    let hangs = service_fn(move |_: Request<Body>| {
        let held = held.lock().unwrap().take();
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok::<_, Infallible>(Response::new(Body::default()))
        }
    });
    let mut service: TenantService<_, _> = layer().layer(hangs);
    let mut call = tokio_test::task::spawn(service.call(of("acme")));
    assert_pending!(call.poll());
    assert!(watch.upgrade().is_some());
    drop(call);
    assert!(watch.upgrade().is_none());
}
