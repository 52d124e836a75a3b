//! A stack whose store can be broken, and whose time is turned by hand.

use std::{fmt, sync::Arc, time::Duration};

use memstache_core::{
    Address, Cache, CacheBuilder, Clock, ErasedService, Error, ErrorKind, Found, Get, Json, Lookup, MemoryStore,
    NearConfig, NearView, OnDegraded, Operation, Request, Response, Result, Space, Stack, SystemClock, Tick,
    resilience::{Resilience, ResilienceConfig},
    testing::{Fault, Faults, Faulty, ManualClock, Recorder, Recording},
};
use tokio::task::yield_now;
use tower::Layer;

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Measures time that tokio has paused.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Tick);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(SystemClock::new().now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        SystemClock::new().now().since(self.0)
    }

    /// Waits until it shows so much.
    pub(crate) async fn shows(self, span: Duration) {
        SystemClock::new().sleep_until(self.0.after(span)).await;
    }
}

/// Lets every task run until nothing moves.
pub(crate) async fn settle() {
    for _ in 0..64 {
        yield_now().await;
    }
}

pub(crate) fn kind<T: fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("it was to fail").kind()
}

pub(crate) fn address(name: &str) -> Address {
    Address::plain(&Space::new(None, &"k".parse().unwrap()), name).unwrap()
}

pub(crate) type Leaf = Recording<Faulty<MemoryStore>>;

pub(crate) struct Kit {
    pub(crate) clock: ManualClock,
    pub(crate) faults: Faults,
    /// What is attempted on the store, faults included.
    pub(crate) recorder: Recorder,
    pub(crate) store: MemoryStore,
    pub(crate) resilience: Resilience,
}

impl Kit {
    pub(crate) fn new(config: ResilienceConfig) -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::builder().max_bytes(8 << 20).clock(clock.clone()).build().unwrap();
        let resilience = Resilience::with_clock(config, clock.clone()).unwrap();
        Self { clock, faults: Faults::new(), recorder: Recorder::new(), store, resilience }
    }

    pub(crate) fn leaf(&self) -> Leaf {
        self.recorder.layer(self.faults.layer(self.store.clone()))
    }

    pub(crate) fn stack(&self) -> ErasedService {
        Stack::over(self.leaf()).resilient(&self.resilience).build()
    }

    pub(crate) fn near_stack(&self, on_degraded: OnDegraded) -> (ErasedService, NearView) {
        let near = NearConfig::new(1 << 20).unwrap().with_clock(self.clock.clone()).with_on_degraded(on_degraded);
        Stack::over(self.leaf()).resilient(&self.resilience).near(near).build_with_view()
    }

    pub(crate) fn builder(&self, stack: ErasedService) -> CacheBuilder<Json> {
        Cache::builder(stack)
            .keyspace("k")
            .format(Json)
            .clock(Arc::new(self.clock.clone()))
            .random(|| 0.5)
            .ttl(secs(60))
    }

    pub(crate) fn cache(&self) -> Cache<Json> {
        self.builder(self.stack()).build().unwrap()
    }

    /// Lets time pass in steps, with everybody running in between.
    pub(crate) async fn pass(&self, span: Duration) {
        self.pass_by(span, millis(5)).await;
    }

    pub(crate) async fn pass_by(&self, span: Duration, step: Duration) {
        settle().await;
        let mut left = span;
        while !left.is_zero() {
            let step = left.min(step);
            self.clock.advance(step);
            settle().await;
            left -= step;
        }
    }

    /// Every attempt fails before anything happens.
    pub(crate) fn down(&self) {
        self.faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "the store is gone")));
    }

    pub(crate) fn hang(&self) {
        self.faults.inject(Fault::hang());
    }

    /// How often the store was asked for an operation.
    pub(crate) fn attempts(&self, operation: &str) -> usize {
        self.recorder.count(operation)
    }
}

/// Reads one key through a stack.
pub(crate) async fn read(stack: &ErasedService, name: &str) -> Result<Lookup> {
    found(stack.dispatch(Get::one(address(name))).await?)
}

pub(crate) fn found(response: Response) -> Result<Lookup> {
    let found: Found = Get::output(response)?;
    found.into_one().unwrap()
}

/// Starts a call as a task.
pub(crate) fn start(stack: &ErasedService, request: impl Into<Request>) -> tokio::task::JoinHandle<Result<Response>> {
    tokio::spawn(stack.dispatch(request))
}
