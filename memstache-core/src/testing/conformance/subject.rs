//! What the suite is run over.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use crate::{
    clock::{BoxFuture, Clock},
    coherence::{Coherence, InvalidationStream},
    service::ErasedService,
    testing::ManualClock,
};

/// A store or a whole stack under test.
///
/// Every case works in spaces of its own, so one subject serves the whole suite, and a shared server does too.
pub trait Subject: Send + Sync {
    /// Returns another handle on the same entries, with a near cache of its own if the stack has one.
    fn service(&self) -> impl Future<Output = ErasedService> + Send;

    /// Returns the clock that the whole stack shares.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Lets this much time pass.
    fn advance(&self, span: Duration) -> impl Future<Output = ()> + Send;

    /// Waits until every near cache has applied the changes made so far. Default: yields to the runtime 64 times.
    fn settle(&self) -> impl Future<Output = ()> + Send {
        yields()
    }

    /// Subscribes to the changes of the leaf. Default: `None`, and the cases about it are skipped.
    fn subscribe(&self) -> Option<InvalidationStream> {
        None
    }

    /// Returns what the stack can do and how exact it is.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

/// What a [`Subject`] can do and how exact it is; a case that needs more is reported as skipped.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether sliding entries are extended by reads. Default: true.
    pub sliding: bool,
    /// Whether negative records are kept. Default: true.
    pub negative: bool,
    /// Whether the stack seals what asks for it. Default: false.
    pub seals: bool,
    /// How many changes a subscriber may be behind before it gets a gap. Default: unknown.
    pub stream_capacity: Option<usize>,
    /// The unit of the lifetimes that the cases use. Default: one second; less for a store with a real clock.
    pub unit: Duration,
    /// How late or early anything may expire. Default: zero, that is to the millisecond.
    pub slack: Duration,
    /// How long a case may take in real time before it is taken for hung. Default: 10 s.
    pub bound: Duration,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            sliding: true,
            negative: true,
            seals: false,
            stream_capacity: None,
            unit: Duration::from_secs(1),
            slack: Duration::ZERO,
            bound: Duration::from_secs(10),
        }
    }
}

/// A [`Subject`] on a [`ManualClock`], made of a closure.
///
/// The closure is called for every handle: it puts a new near cache over the same store each time, or clones.
pub struct ManualSubject {
    clock: ManualClock,
    service: Box<dyn Fn() -> ErasedService + Send + Sync>,
    subscribe: Option<Box<dyn Fn() -> InvalidationStream + Send + Sync>>,
    capabilities: Capabilities,
}

impl ManualSubject {
    /// Creates a subject; every part of the stack must have been given this clock.
    pub fn new(clock: ManualClock, service: impl Fn() -> ErasedService + Send + Sync + 'static) -> Self {
        Self { clock, service: Box::new(service), subscribe: None, capabilities: Capabilities::default() }
    }

    /// Adds where the changes of the leaf are told.
    #[must_use]
    pub fn with_coherence(mut self, leaf: impl Coherence + Send + Sync + 'static) -> Self {
        self.subscribe = Some(Box::new(move || leaf.subscribe()));
        self
    }

    /// Replaces what the stack can do.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }
}

impl fmt::Debug for ManualSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualSubject").field("capabilities", &self.capabilities).finish_non_exhaustive()
    }
}

impl Subject for ManualSubject {
    async fn service(&self) -> ErasedService {
        (self.service)()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    async fn advance(&self, span: Duration) {
        self.clock.advance(span);
        yields().await;
    }

    fn subscribe(&self) -> Option<InvalidationStream> {
        self.subscribe.as_ref().map(|subscribe| subscribe())
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }
}

/// A [`Subject`] behind a reference, so that the cases are compiled once.
pub(super) trait AnySubject: Send + Sync {
    fn service(&self) -> BoxFuture<'_, ErasedService>;
    fn clock(&self) -> Arc<dyn Clock>;
    fn advance(&self, span: Duration) -> BoxFuture<'_, ()>;
    fn settle(&self) -> BoxFuture<'_, ()>;
    fn subscribe(&self) -> Option<InvalidationStream>;
}

impl<S: Subject> AnySubject for S {
    fn service(&self) -> BoxFuture<'_, ErasedService> {
        Box::pin(Subject::service(self))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Subject::clock(self)
    }

    fn advance(&self, span: Duration) -> BoxFuture<'_, ()> {
        Box::pin(Subject::advance(self, span))
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(Subject::settle(self))
    }

    fn subscribe(&self) -> Option<InvalidationStream> {
        Subject::subscribe(self)
    }
}

/// Gives every other task of a current-thread runtime the chance to do what it can.
async fn yields() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
