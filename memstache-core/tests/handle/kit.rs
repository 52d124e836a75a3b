//! What every rule is given: a stack, a clock, and the means to make both misbehave.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use memstache_core::{
    Address, BoxFuture, Cache, CacheBuilder, Coherence, ErasedService, Error, ErrorKind, Get, Json, LoadContext,
    Lookup, MemoryStore, NearConfig, OnMiss, Operation, Request, Response, Result, Stack, Touch, TouchKind,
    testing::{Fault, Faults, Gate, ManualClock, NaiveStore, Recorder, Sabotage},
};
use tokio::task::{JoinHandle, yield_now};
use tower::{Layer, Service};

/// Which stack is under the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Naive,
    Memory,
    Near,
    /// A naive store that breaks one of its rules.
    Broken(Sabotage),
}

/// Makes the tests of a module: each rule over each stack.
macro_rules! rules {
    (every stack: $($all:ident),* $(,)?) => { $crate::kit::rules!(every stack: $($all),*; every store:); };
    (every stack: $($all:ident),* $(,)? ; every store: $($stores:ident),* $(,)?) => {
        mod naive { $crate::kit::rules!(@tests Naive: $($all)* $($stores)*); }
        mod memory { $crate::kit::rules!(@tests Memory: $($all)* $($stores)*); }
        mod near { $crate::kit::rules!(@tests Near: $($all)*); }
    };
    (@tests $kind:ident: $($rule:ident)*) => {
        $(#[tokio::test(start_paused = true)]
        async fn $rule() {
            $crate::kit::run($crate::kit::Kind::$kind, super::$rule).await;
        })*
    };
}
pub(crate) use rules;

/// Runs one rule. Nobody sleeps, so once nothing moves tokio's paused time jumps to the limit: a hang is a failure.
pub(crate) async fn run(kind: Kind, rule: impl AsyncFnOnce(Kit)) {
    let limit = Duration::from_secs(3600);
    tokio::time::timeout(limit, rule(Kit::new(kind))).await.expect("the rule hangs");
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Lets every task run until nothing moves.
pub(crate) async fn settle() {
    for _ in 0..64 {
        yield_now().await;
    }
}

/// A stack with all that can be done to it.
pub(crate) struct Kit {
    kind: Kind,
    pub(crate) clock: ManualClock,
    /// What reaches the store, below the near cache.
    pub(crate) recorder: Recorder,
    pub(crate) faults: Faults,
    pub(crate) yields: Yields,
    leaf: Leaf,
    stack: ErasedService,
}

enum Leaf {
    Naive(NaiveStore),
    Memory(MemoryStore),
}

impl Kit {
    pub(crate) fn new(kind: Kind) -> Self {
        let clock = ManualClock::new();
        let leaf = match kind {
            Kind::Naive => Leaf::Naive(NaiveStore::new(clock.clone())),
            Kind::Broken(sabotage) => Leaf::Naive(NaiveStore::sabotaged(clock.clone(), sabotage)),
            Kind::Memory | Kind::Near => {
                let store = MemoryStore::builder().max_bytes(8 << 20).clock(clock.clone()).build();
                Leaf::Memory(store.unwrap())
            }
        };
        let stack = ErasedService::new(Nothing);
        let (recorder, faults, yields) = (Recorder::new(), Faults::new(), Yields::default());
        let mut kit = Self { kind, clock, recorder, faults, yields, leaf, stack };
        kit.stack = kit.another_stack();
        kit
    }

    /// Builds another stack over the same store: what another process has.
    pub(crate) fn another_stack(&self) -> ErasedService {
        match &self.leaf {
            Leaf::Naive(store) => self.over(store.service()),
            Leaf::Memory(store) => self.over(store.clone()),
        }
    }

    fn over<S>(&self, leaf: S) -> ErasedService
    where
        S: memstache_core::CacheService + Coherence,
    {
        let stack =
            Stack::over(leaf).timeout(self.faults.clone()).retry(self.recorder.clone()).limit(self.yields.clone());
        match self.kind {
            Kind::Near => stack.near(NearConfig::new(1 << 26).unwrap().with_clock(self.clock.clone())).build(),
            Kind::Naive | Kind::Memory | Kind::Broken(_) => stack.build(),
        }
    }

    /// The builder of a handle on the kit's stack.
    pub(crate) fn builder(&self) -> CacheBuilder<Json> {
        self.builder_on(self.stack.clone())
    }

    /// The builder of a handle on another stack.
    pub(crate) fn builder_on(&self, stack: ErasedService) -> CacheBuilder<Json> {
        Cache::builder(stack).keyspace("k").clock(Arc::new(self.clock.clone())).random(|| 0.5).format(Json)
    }

    /// A handle with a ttl of a minute.
    pub(crate) fn cache(&self) -> Cache<Json> {
        self.builder().ttl(secs(60)).build().unwrap()
    }

    /// A handle in another process.
    pub(crate) fn other_cache(&self) -> Cache<Json> {
        self.builder_on(self.another_stack()).ttl(secs(60)).build().unwrap()
    }

    pub(crate) fn address(&self, key: &str) -> Address {
        Address::plain(self.cache().space(), key).unwrap()
    }

    /// Lets time pass as it does: in small steps, with everybody running in between.
    pub(crate) async fn pass(&self, span: Duration) {
        settle().await;
        let mut left = span;
        while !left.is_zero() {
            let step = left.min(secs(1));
            self.clock.advance(step);
            settle().await;
            left -= step;
        }
    }

    /// Asserts that a missing key's lease is free.
    pub(crate) async fn assert_no_lease(&self, key: &str) {
        settle().await;
        let address = self.address(key);
        let mut get = Get::one(address.clone());
        get.on_miss = OnMiss::Lease;
        match Get::output(self.stack.dispatch(get).await.unwrap()).map(found) {
            Ok(Ok(Lookup::Leased(lease))) => {
                let release = Touch::one(address, TouchKind::Release(lease.id));
                self.stack.dispatch(release).await.unwrap();
            }
            Ok(Ok(Lookup::Hit(_) | Lookup::Negative(_))) => {}
            other => panic!("the lease of a key is not free: {other:?}"),
        }
    }

    /// Makes every call of these operations fail.
    pub(crate) fn fail(&self, kind: ErrorKind, operations: &'static [&'static str]) {
        let fault = Fault::before(Error::new(kind, "as injected"));
        self.faults.inject(fault.when(move |request| operations.contains(&request.name())));
    }

    /// Makes every call of these operations hang.
    pub(crate) fn hang(&self, operations: &'static [&'static str]) {
        self.faults.inject(Fault::hang().when(move |request| operations.contains(&request.name())));
    }
}

fn found(found: memstache_core::Found) -> Result<Lookup> {
    found.into_one().expect("one was asked for")
}

/// Stands in until there is a stack.
#[derive(Clone)]
struct Nothing;

impl Service<Request> for Nothing {
    type Response = Response;
    type Error = Error;
    type Future = std::future::Ready<Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::ready(Err(Error::new(ErrorKind::Unavailable, "nothing")))
    }
}

/// A layer that suspends each call so many times before and after it is made.
#[derive(Clone, Default)]
pub(crate) struct Yields {
    pub(crate) before: Arc<AtomicUsize>,
    pub(crate) after: Arc<AtomicUsize>,
}

impl<S> Layer<S> for Yields {
    type Service = Yielding<S>;

    fn layer(&self, inner: S) -> Yielding<S> {
        Yielding { inner, yields: self.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Yielding<S> {
    inner: S,
    yields: Yields,
}

impl<S> Service<Request> for Yielding<S>
where
    S: Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let yields = self.yields.clone();
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            for _ in 0..yields.before.load(SeqCst) {
                yield_now().await;
            }
            let answer = inner.call(request).await;
            for _ in 0..yields.after.load(SeqCst) {
                yield_now().await;
            }
            answer
        })
    }
}

/// What a source fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed(pub(crate) u32);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the source failed: {}", self.0)
    }
}

impl std::error::Error for Failed {}

/// The loader's answer, boxed so that all loaders are of one type.
pub(crate) type Brought<V> = BoxFuture<'static, Result<V, Failed>>;

/// A source of values that counts how often it is asked, and answers when it is let.
#[derive(Clone)]
pub(crate) struct Source {
    loads: Arc<AtomicUsize>,
    pub(crate) gate: Gate,
}

impl Source {
    /// Answers at once.
    pub(crate) fn open() -> Self {
        let source = Self::gated();
        source.gate.open();
        source
    }

    /// Answers when its gate is opened.
    pub(crate) fn gated() -> Self {
        Self { loads: Arc::default(), gate: Gate::new() }
    }

    pub(crate) fn loads(&self) -> usize {
        self.loads.load(SeqCst)
    }

    /// Notes a load and waits at the gate.
    pub(crate) async fn load(&self) {
        self.loads.fetch_add(1, SeqCst);
        self.gate.pass().await;
    }

    /// A loader whose answer is made from its context.
    pub(crate) fn answers<V: Send + 'static>(
        &self,
        answer: impl FnOnce(LoadContext<u32>) -> Result<V, Failed> + Send + 'static,
    ) -> impl FnOnce(LoadContext<u32>) -> Brought<V> + Send + 'static {
        let source = self.clone();
        move |context| {
            Box::pin(async move {
                source.load().await;
                answer(context)
            })
        }
    }

    /// A loader that brings a value.
    pub(crate) fn brings<V: Send + 'static>(
        &self,
        value: V,
    ) -> impl FnOnce(LoadContext<u32>) -> Brought<V> + Send + 'static {
        self.answers(move |_| Ok(value))
    }

    /// A loader of many keys: one call is one load, each key's value is made from its name.
    pub(crate) fn brings_each<V: Send + 'static>(
        &self,
        value: impl Fn(&'static str) -> V + Send + Sync + 'static,
    ) -> impl Fn(Vec<&'static str>) -> Brought<Vec<(&'static str, V)>> + Send + Sync + 'static {
        let (source, value) = (self.clone(), Arc::new(value));
        move |keys| {
            let (source, value) = (source.clone(), Arc::clone(&value));
            Box::pin(async move {
                source.load().await;
                Ok(keys.into_iter().map(|key| (key, value(key))).collect())
            })
        }
    }

    /// A loader that fails.
    pub(crate) fn fails(&self) -> impl FnOnce(LoadContext<u32>) -> Brought<u32> + Send + 'static {
        self.answers(|_| Err(Failed(7)))
    }

    /// A loader that panics in its future.
    pub(crate) fn panics(&self) -> impl FnOnce(LoadContext<u32>) -> Brought<u32> + Send + 'static {
        self.answers(|_| panic!("on purpose"))
    }
}

/// Starts a `get_or_load` as a task.
pub(crate) fn ask<L>(cache: &Cache<Json>, key: &str, loader: L) -> JoinHandle<Result<u32>>
where
    L: FnOnce(LoadContext<u32>) -> Brought<u32> + Send + 'static,
{
    let (cache, key) = (cache.clone(), key.to_owned());
    tokio::spawn(async move { cache.get_or_load(key, loader).await })
}

/// The answer of a batch.
pub(crate) type Answers = Result<Vec<Result<Option<u32>>>>;

/// Starts a `get_many_or_load` as a task.
pub(crate) fn ask_many<L>(cache: &Cache<Json>, keys: &'static [&'static str], loader: L) -> JoinHandle<Answers>
where
    L: Fn(Vec<&'static str>) -> Brought<Vec<(&'static str, u32)>> + Send + Sync + 'static,
{
    let cache = cache.clone();
    tokio::spawn(async move { cache.get_many_or_load(keys.iter().copied(), loader).await })
}

/// Returns the values of a batch of which no key failed.
pub(crate) fn values(answers: Answers) -> Vec<Option<u32>> {
    answers.unwrap().into_iter().map(Result::unwrap).collect()
}

/// Returns the kind of a call's error.
pub(crate) fn kind<T: fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("it was to fail").kind()
}
