//! What a guard does not know does not pass it.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use memstache_core::{
    Address, BoxFuture, ErasedService, Error, ErrorKind, Request, Response, Result, Stack, Step, Transform, testing,
    testing::{ManualClock, NaiveStore, Recorder},
};
use memstache_crypto::Seal;
use tower::{Layer, Service, ServiceExt};

use crate::kit::{Kind, Kit, keys, tenant};

const VALUE: &str = "\"what nobody but its tenant may read\"";

/// What is known to carry no values, or has them sealed. An operation that comes later is not among them by itself.
const KNOWN: [&str; 5] = ["get", "set", "remove", "touch", "invalidate"];

fn home() -> Address {
    Kit::new(Kind::Naive).tenants.for_tenant(&tenant("acme")).address("tea").unwrap()
}

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(16).any(|window| VALUE.as_bytes().windows(16).any(|part| part == window))
}

#[test]
fn the_seal_passes_nothing_that_it_does_not_know() {
    let seal = Seal::builder(keys()).build().unwrap();
    let mut refused = 0;
    for request in testing::samples(&home(), VALUE) {
        let name = request.name();
        match seal.request(request) {
            Step::Now(Ok((mut request, _))) => {
                assert!(KNOWN.contains(&name), "{name} passes, and nobody has said that it may");
                let sealed = request.entries_mut().all(|(_, entry)| entry.content.sealed && !holds(&entry.value));
                assert!(sealed, "{name} goes down bare");
                assert!(request.tenants().all(|tenant| tenant == Some("acme")), "{name} lost its tenant");
            }
            Step::Now(Err(error)) => {
                assert!(!KNOWN.contains(&name), "{name}: {error}");
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                refused += 1;
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(refused, 1, "an explanation is asked for around the transform, not through it");
}

/// Writes down what reaches the store.
#[derive(Clone, Default)]
struct Spy(Arc<Mutex<Vec<Request>>>);

#[derive(Clone)]
struct Spying<S>(S, Spy);

impl<S> Layer<S> for Spy {
    type Service = Spying<S>;

    fn layer(&self, inner: S) -> Spying<S> {
        Spying(inner, self.clone())
    }
}

impl<S> Service<Request> for Spying<S>
where
    S: Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.1.0.lock().unwrap().push(request.clone());
        Box::pin(self.0.clone().oneshot(request))
    }
}

/// One of every operation through a sealed stack: everything is the tenant's, and no value is bare.
#[tokio::test(start_paused = true)]
async fn nothing_bare_and_nothing_of_nobody_reaches_the_store() {
    let (spy, recorder) = (Spy::default(), Recorder::new());
    let store = NaiveStore::new(ManualClock::new());
    let seal = Seal::builder(keys()).build().unwrap();
    let leaf = Stack::over(store.service()).timeout(spy.clone()).retry(recorder.clone());
    let stack = ErasedService::new(leaf.seal(seal).into_service());
    for request in testing::samples(&home(), VALUE) {
        let name = request.name();
        let answer = stack.dispatch(request).await;
        assert!(answer.is_ok(), "{name}: {answer:?}");
    }
    let mut seen = std::mem::take(&mut *spy.0.lock().unwrap());
    assert_eq!(seen.len(), recorder.total());
    assert!(seen.len() >= KNOWN.len());
    for request in &mut seen {
        let name = request.name();
        assert!(request.tenants().all(|tenant| tenant == Some("acme")), "{name} lost its tenant");
        let stored: Vec<Bytes> = request.addresses().map(|at| Bytes::copy_from_slice(at.stored())).collect();
        assert!(stored.iter().all(|stored| stored.starts_with(b"acme:")), "{name} lost its tenant");
        for (_, entry) in request.entries_mut() {
            assert!(entry.content.sealed && !holds(&entry.value), "{name} is bare");
        }
    }
}

/// The quota refuses what it does not know. All operations that there are today are known to it: one that comes later must be
/// put here, and with a cost there.
#[cfg(feature = "quota")]
#[tokio::test(start_paused = true)]
async fn the_quota_has_a_cost_for_every_operation_that_there_is() {
    use memstache_tenancy::{MeterTenants, Plan, Plans, Tenants};

    let plan = Plan::builder("plan").build().unwrap();
    let plans = Plans::builder().plan(plan).default_plan("plan").build().unwrap();
    let clock = ManualClock::new();
    let tenants = Tenants::builder(plans).clock(clock.clone()).build().unwrap();
    let recorder = Recorder::new();
    let leaf = Stack::over(NaiveStore::new(clock).service()).retry(recorder.clone());
    let stack = leaf.meter(tenants.quota()).build();
    for request in testing::samples(&home(), VALUE) {
        let name = request.name();
        assert!(KNOWN.contains(&name) || name == "explain", "{name} passes, and nobody has said what it costs");
        assert!(stack.dispatch(request).await.is_ok(), "{name}");
        recorder.assert_calls(name, 1);
    }
}
