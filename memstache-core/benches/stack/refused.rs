//! Calls through the full stack that are shed, refused or given up.

use std::{
    hint::black_box,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use memstache_core::{
    Error, ErrorKind, Get, Request, Response,
    resilience::{BreakerConfig, Probing, ResilienceConfig},
};
use tower::Service;

use crate::{
    row::Row,
    served::{address, layers},
    support::now,
};

pub(crate) const ALL: [&str; 3] = [SHED, OPEN, GIVEN_UP];

const SHED: &str = "shed by the limit";
const OPEN: &str = "refused by an open breaker";
const GIVEN_UP: &str = "given up while the store hangs";

pub(crate) fn rows() -> Vec<Row> {
    vec![shed(), open(), given_up()]
}

fn shed() -> Row {
    let stack = layers(Hanging, ResilienceConfig { max_calls: Some(1), ..ResilienceConfig::default() });
    let key = address();
    let mut held = stack.dispatch(Get::one(key.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let guard = runtime.enter();
    assert!(poll_once(&mut held).is_pending());
    drop(guard);
    Row::new(SHED, 1, move || {
        let _held = (&held, &runtime);
        black_box(now(stack.dispatch(Get::one(key.clone())))).expect_err("shed");
    })
}

fn open() -> Row {
    let breaker = BreakerConfig::leaf().with_probing(Probing::Requests).with_open_for(Duration::from_secs(3600));
    let config = ResilienceConfig { breaker: Some(breaker), ..ResilienceConfig::default() };
    let (stack, key) = (layers(Gone, config), address());
    for _ in 0..5 {
        now(stack.dispatch(Get::one(key.clone()))).expect_err("gone");
    }
    // Its error is made once a millisecond.
    Row::new(OPEN, 2, move || {
        black_box(now(stack.dispatch(Get::one(key.clone())))).expect_err("refused");
    })
}

fn given_up() -> Row {
    let stack = layers(Hanging, ResilienceConfig { timeout: None, ..ResilienceConfig::default() });
    let key = address();
    Row::new(GIVEN_UP, 2, move || {
        let mut call = stack.dispatch(Get::one(key.clone()));
        assert!(poll_once(&mut call).is_pending());
        drop(black_box(call));
    })
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A leaf that never answers.
#[derive(Clone)]
struct Hanging;

impl Service<Request> for Hanging {
    type Response = Response;
    type Error = Error;
    type Future = std::future::Pending<Result<Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::pending()
    }
}

/// A leaf that is out of reach.
#[derive(Clone)]
struct Gone;

impl Service<Request> for Gone {
    type Response = Response;
    type Error = Error;
    type Future = std::future::Ready<Result<Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::ready(Err(Error::new(ErrorKind::Unavailable, "gone").with_retryable(false)))
    }
}
