//! A stack that takes its time.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

use crate::{
    clock::{BoxFuture, Clock},
    coherence::{Coherence, InvalidationStream},
    error::{Error, Result},
    request::{Request, Response},
    service::{CacheService, oneshot},
};

type Delay = Arc<dyn Fn(&Request) -> Duration + Send + Sync>;

/// Delays every call by what two closures say, before and after it is made. Default: not at all.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::testing::{ManualClock, NaiveStore, SlowLayer};
/// use memstache_core::{Address, ErasedService, Get, KeyspaceName, Space};
/// use tower_layer::Layer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// let clock = ManualClock::new();
/// let slow = SlowLayer::new(clock.clone()).with_before(|request| Duration::from_millis(10) * request.len() as u32);
/// let service = ErasedService::new(slow.layer(NaiveStore::new(clock.clone()).service()));
/// let key = Address::plain(&Space::new(None, &KeyspaceName::new("drinks")?), "tea")?;
/// let call = tokio::spawn(service.dispatch(Get::one(key)));
/// tokio::task::yield_now().await;
/// assert!(!call.is_finished());
/// clock.advance(Duration::from_millis(10));
/// call.await.unwrap()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SlowLayer {
    clock: Arc<dyn Clock>,
    before: Option<Delay>,
    after: Option<Delay>,
}

impl SlowLayer {
    /// Creates a layer that delays nothing yet.
    pub fn new(clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), before: None, after: None }
    }

    /// Delays a call on its way down: nothing has happened yet.
    #[must_use]
    pub fn with_before(mut self, delay: impl Fn(&Request) -> Duration + Send + Sync + 'static) -> Self {
        self.before = Some(Arc::new(delay));
        self
    }

    /// Delays an answer on its way up: it has happened.
    #[must_use]
    pub fn with_after(mut self, delay: impl Fn(&Request) -> Duration + Send + Sync + 'static) -> Self {
        self.after = Some(Arc::new(delay));
        self
    }
}

impl fmt::Debug for SlowLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlowLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for SlowLayer {
    type Service = Slow<S>;

    fn layer(&self, inner: S) -> Slow<S> {
        Slow { inner, layer: self.clone() }
    }
}

/// A stack whose calls are delayed; made by [`SlowLayer`]. Always ready.
#[derive(Clone, Debug)]
pub struct Slow<S> {
    inner: S,
    layer: SlowLayer,
}

impl<S: CacheService> Service<Request> for Slow<S> {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let span = |delay: &Option<Delay>| delay.as_ref().map_or(Duration::ZERO, |delay| delay(&request));
        let (before, after) = (span(&self.layer.before), span(&self.layer.after));
        let (inner, clock) = (self.inner.clone(), Arc::clone(&self.layer.clock));
        Box::pin(async move {
            pause(&*clock, before).await;
            let answer = oneshot(inner, request).await;
            pause(&*clock, after).await;
            answer
        })
    }
}

impl<S: Coherence> Coherence for Slow<S> {
    fn subscribe(&self) -> InvalidationStream {
        self.inner.subscribe()
    }
}

async fn pause(clock: &dyn Clock, span: Duration) {
    if !span.is_zero() {
        clock.sleep_until(clock.now().after(span)).await;
    }
}
