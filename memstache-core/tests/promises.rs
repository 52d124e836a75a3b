//! Promises that were once broken, each by the way in which it was.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    convert::Infallible,
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use memstache_core::{
    Address, Cache, Coherence, Consistency, ErasedService, Error, ErrorKind, Get, Invalidate, Invalidation,
    InvalidationStream, Json, KeyspaceName, LeaseId, Lifetime, Lookup, MemoryStore, Namer, NearConfig, NewEntry,
    OnMiss, OneOrMany, Outcome, Parts, Remove, Request, Response, Result, Scope, Set, SetItem, Space, Stack, Step,
    Store, Tag, Tags, Target, Transform, When, Written,
    testing::{Fault, Faults, Gate, ManualClock, Recorder},
};
use tokio::sync::mpsc as queue;
use tower::{Layer, Service, limit::ConcurrencyLimitLayer, timeout::TimeoutLayer};

const SECOND: Duration = Duration::from_secs(1);

async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

fn store(clock: &ManualClock) -> MemoryStore {
    MemoryStore::builder().max_bytes(8 << 20).clock(clock.clone()).build().unwrap()
}

fn near(clock: &ManualClock) -> NearConfig {
    NearConfig::new(1 << 20).unwrap().with_clock(clock.clone())
}

fn cache(clock: &ManualClock, stack: ErasedService) -> Cache<Json> {
    Cache::builder(stack).keyspace("k").format(Json).clock(clock.clone()).ttl(SECOND * 60).build().unwrap()
}

fn key(name: &str) -> Address {
    Address::plain(&Space::new(None, &KeyspaceName::new("k").unwrap()), name).unwrap()
}

/// Polls once.
fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    future.now_or_never()
}

fn loads(value: u64) -> std::future::Ready<Result<u64, Infallible>> {
    std::future::ready(Ok(value))
}

/// Runs a test in a runtime and thread of its own, so that one that spins or deadlocks fails and does not hang.
fn within_reason<T: Future<Output = ()>>(test: impl FnOnce() -> T + Send + 'static) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
        done.send(()).unwrap();
    });
    ended.recv_timeout(SECOND * 20).expect("it ends");
}

/// A memory store whose changes the test tells by itself.
#[derive(Clone)]
struct Told {
    store: MemoryStore,
    subscribers: Arc<Mutex<Vec<queue::UnboundedSender<Invalidation>>>>,
}

impl Told {
    fn new(clock: &ManualClock) -> Self {
        Self { store: store(clock), subscribers: Arc::default() }
    }

    async fn tell(&self, change: Invalidation) {
        self.subscribers.lock().unwrap().iter().for_each(|sender| drop(sender.send(change.clone())));
        settle().await;
    }
}

impl Coherence for Told {
    fn subscribe(&self) -> InvalidationStream {
        let (sender, receiver) = queue::unbounded_channel();
        self.subscribers.lock().unwrap().push(sender);
        InvalidationStream::new(stream::unfold(receiver, |mut receiver| async move {
            let change = receiver.recv().await?;
            Some((change, receiver))
        }))
    }
}

impl Service<Request> for Told {
    type Response = Response;
    type Error = Error;
    type Future = <MemoryStore as Service<Request>>::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<()>> {
        self.store.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.store.call(request)
    }
}

/// Reverses names.
#[derive(Debug)]
struct Blind;

impl Namer for Blind {
    fn stored(&self, parts: &Parts<'_>) -> Result<Option<Arc<[u8]>>> {
        Ok(Some(parts.name().iter().rev().copied().collect()))
    }
}

#[tokio::test]
async fn a_blind_copy_that_was_fetched_again_goes_when_its_stored_key_changes() {
    let clock = ManualClock::new();
    let leaf = Told::new(&clock);
    let blind = |stack| {
        let builder = Cache::builder(stack).keyspace("k").format(Json).clock(clock.clone()).namer(Blind);
        builder.ttl(SECOND * 10).build().unwrap()
    };
    let here = blind(Stack::over(leaf.clone()).near(near(&clock)).build());
    let there = blind(Stack::over(leaf.store.clone()).build());
    there.set("name", &1).await.unwrap();
    assert_eq!(here.get::<u8>("name").await.unwrap(), Some(1));
    clock.advance(SECOND * 11);
    there.set("name", &2).await.unwrap();
    assert_eq!(here.get::<u8>("name").await.unwrap(), Some(2), "the first copy is dead, this is another");
    there.set("name", &3).await.unwrap();
    leaf.tell(Invalidation::Stored(b"eman".as_slice().into())).await;
    assert_eq!(here.get::<u8>("name").await.unwrap(), Some(3));
}

/// Has no key for its names.
#[derive(Debug)]
struct Nameless;

impl Namer for Nameless {
    fn stored(&self, _: &Parts<'_>) -> Result<Option<Arc<[u8]>>> {
        Err(Error::new(ErrorKind::Unavailable, "no key for names"))
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_made_fails_every_call_and_reaches_no_store() {
    let clock = ManualClock::new();
    let recorder = Recorder::new();
    let stack = ErasedService::new(recorder.layer(Told::new(&clock).store));
    let cache = Cache::builder(stack).keyspace("k").format(Json).clock(clock).namer(Nameless).build().unwrap();
    let failed = |kind: Option<ErrorKind>| assert_eq!(kind, Some(ErrorKind::Unavailable));
    failed(cache.get::<u8>("a").await.err().map(|error| error.kind()));
    failed(cache.set("a", &1).await.err().map(|error| error.kind()));
    failed(cache.remove("a").await.err().map(|error| error.kind()));
    failed(cache.get_many::<u8>(["a"]).await.unwrap().remove(0).err().map(|error| error.kind()));
    failed(cache.get_or_load("a", |_| async { Ok::<u8, Error>(1) }).await.err().map(|error| error.kind()));
    recorder.assert_quiet();
}

#[tokio::test]
async fn an_invalidation_hides_copies_whatever_the_sequence_of_another_space() {
    let clock = ManualClock::new();
    let leaf = Told::new(&clock);
    let here = cache(&clock, Stack::over(leaf.clone()).near(near(&clock)).build());
    let there = cache(&clock, Stack::over(leaf.store.clone()).build());
    there.set("a", &1).tags(["t"]).await.unwrap();
    assert_eq!(here.get::<u8>("a").await.unwrap(), Some(1));
    // Each space has a line of its own at its home: this one is far ahead.
    let busy = Space::new(None, &KeyspaceName::new("busy").unwrap());
    let tag = Tag::new("t").unwrap();
    leaf.tell(Invalidation::Tag(busy, tag.clone(), memstache_core::Sequence(1000))).await;
    assert_eq!(here.get::<u8>("a").await.unwrap(), Some(1));
    there.invalidate_tag("t").await.unwrap();
    leaf.tell(Invalidation::Tag(here.space().clone(), tag, memstache_core::Sequence(1))).await;
    assert_eq!(here.get::<u8>("a").await.unwrap(), None);
}

#[test]
fn a_near_cache_follows_changes_after_the_runtime_of_its_first_call_is_gone() {
    let clock = ManualClock::new();
    let store = store(&clock);
    let here = cache(&clock, Stack::over(store.clone()).near(near(&clock)).build());
    let there = cache(&clock, Stack::over(store).build());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(async {
        here.set("a", &1).await.unwrap();
        assert_eq!(here.get::<u8>("a").await.unwrap(), Some(1));
    });
    runtime().block_on(async {
        there.set("a", &2).await.unwrap();
        settle().await;
        assert_eq!(here.get::<u8>("a").await.unwrap(), Some(2));
        there.set("a", &3).await.unwrap();
        settle().await;
        assert_eq!(here.get::<u8>("a").await.unwrap(), Some(3), "it follows again");
        assert_eq!(here.get_entry::<u8>("a").await.unwrap().outcome, Outcome::Hit);
    });
}

/// A value whose end is the test's own code, wherever it happens.
struct Ends(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Ends {
    fn value(end: impl FnOnce() + Send + Sync + 'static) -> Bytes {
        Bytes::from_owner(Self(Some(Box::new(end))))
    }
}

impl AsRef<[u8]> for Ends {
    fn as_ref(&self) -> &[u8] {
        // Too large to be copied into the store's own allocation.
        &[7; 4097]
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.take().unwrap()();
    }
}

fn is_hit(response: &Response) -> bool {
    matches!(response, Response::Found(found) if matches!(found.as_slice(), [Ok(Lookup::Hit(_))]))
}

#[tokio::test]
async fn an_invalidation_during_a_flush_is_not_forgotten() {
    let clock = ManualClock::new();
    let leaf = Told::new(&clock);
    let stack = Stack::over(leaf.clone()).near(near(&clock)).build();
    let tag = || Tag::new("t").unwrap();
    let now = |stack: &ErasedService, request: Request| stack.dispatch(request).now_or_never().unwrap().unwrap();
    let (inside, store) = (stack.clone(), leaf.store.clone());
    // The flush drops the copy; what this does happens in its midst.
    let value = Ends::value(move || {
        let entry = NewEntry::new("v", Lifetime::UNLIMITED).with_tags(Tags::new([tag()]).unwrap());
        store.set(Set::one(key("a"), entry)).now_or_never().unwrap().unwrap();
        assert!(is_hit(&now(&inside, Get::one(key("a")).into())), "copied");
        now(&inside, Invalidate::one(Target::Tag(key("a").space(), tag())).into());
    });
    leaf.store.set(Set::one(key("a"), NewEntry::new(value, Lifetime::UNLIMITED))).await.unwrap();
    assert!(is_hit(&now(&stack, Get::one(key("a")).into())));
    // The copy is the last that holds the value.
    leaf.store.remove(Remove::one(key("a"))).await.unwrap();
    leaf.tell(Invalidation::Gap).await;
    assert!(!is_hit(&now(&stack, Get::one(key("a")).into())));
}

#[test]
fn a_store_drops_values_outside_its_locks() {
    within_reason(|| async {
        let clock = ManualClock::new();
        let store = MemoryStore::builder().max_bytes(1 << 20).shards(1).clock(clock.clone()).build().unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        let value = || {
            let (store, dropped) = (store.clone(), Arc::clone(&dropped));
            Ends::value(move || {
                std::hint::black_box(store.stats());
                dropped.fetch_add(1, SeqCst);
            })
        };
        let set = async |name: &str, lifetime| {
            store.set(Set::one(key(name), NewEntry::new(value(), lifetime))).await.unwrap();
        };
        for name in ["a", "b", "c"] {
            set(name, Lifetime::new(SECOND).unwrap()).await;
        }
        clock.advance(SECOND * 2);
        set("d", Lifetime::UNLIMITED).await;
        assert_eq!(dropped.load(SeqCst), 3, "expired by the write");
        for _ in 0..8 {
            set("d", Lifetime::new(SECOND).unwrap()).await;
        }
        assert_eq!(dropped.load(SeqCst), 11, "replaced");
        clock.advance(SECOND * 2);
        store.maintain();
        assert_eq!(dropped.load(SeqCst), 12, "swept");
        // Large enough that one write evicts many.
        for n in 0..2000 {
            set(&n.to_string(), Lifetime::UNLIMITED).await;
        }
        let large = NewEntry::new(vec![0; 100_000], Lifetime::UNLIMITED);
        store.set(Set::one(key("large"), large)).await.unwrap();
        store.invalidate(Invalidate::one(Target::Space(key("a").space()))).await.unwrap();
        store.maintain();
        assert_eq!(dropped.load(SeqCst), 2012);
    });
}

#[test]
fn a_near_cache_drops_values_outside_its_locks() {
    within_reason(|| async {
        let clock = ManualClock::new();
        let leaf = Told::new(&clock);
        let service = tower::ServiceBuilder::new()
            .layer(memstache_core::NearLayer::new(near(&clock), leaf.clone()))
            .service(leaf.clone());
        let dropped = Arc::new(AtomicUsize::new(0));
        for n in 0..4000 {
            let (near, dropped) = (service.clone(), Arc::clone(&dropped));
            let value = Ends::value(move || {
                std::hint::black_box(near.stats());
                dropped.fetch_add(1, SeqCst);
            });
            let name = n.to_string();
            let entry = NewEntry::new(value, Lifetime::new(SECOND).unwrap());
            leaf.store.set(Set::one(key(&name), entry)).await.unwrap();
            assert!(is_hit(&service.clone().call(Get::one(key(&name)).into()).await.unwrap()));
            leaf.store.remove(Remove::one(key(&name))).await.unwrap();
            if n % 100 == 0 {
                clock.advance(SECOND * 2);
            }
        }
        leaf.tell(Invalidation::Gap).await;
        assert_eq!(dropped.load(SeqCst), 4000);
    });
}

/// A decoded value whose end reads the cache that kept it.
struct Reads(Arc<Mutex<Option<Cache<Json>>>>, Arc<AtomicUsize>);

thread_local! {
    /// What the next value that is decoded here belongs to.
    static KEEPER: std::cell::RefCell<Option<(Arc<Mutex<Option<Cache<Json>>>>, Arc<AtomicUsize>)>> =
        const { std::cell::RefCell::new(None) };
}

impl<'de> serde::Deserialize<'de> for Reads {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?;
        let (cache, dropped) = KEEPER.with_borrow(Clone::clone).unwrap();
        Ok(Self(cache, dropped))
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
        let cache = self.0.lock().unwrap().clone();
        if let Some(cache) = cache {
            for n in 0..40 {
                // Every shard is read.
                drop(cache.get_arc::<u64>(format!("other:{n}")).now_or_never());
            }
        }
    }
}

#[test]
fn a_near_cache_drops_decoded_values_outside_its_locks() {
    within_reason(|| async {
        let clock = ManualClock::new();
        let (leaf, dropped) = (Told::new(&clock), Arc::new(AtomicUsize::new(0)));
        let stack = Stack::over(leaf.clone()).near(near(&clock)).build();
        let cache = cache(&clock, stack);
        let keeper = Arc::new(Mutex::new(Some(cache.clone())));
        KEEPER.set(Some((Arc::clone(&keeper), Arc::clone(&dropped))));
        for n in 0..40u64 {
            let other = format!("other:{n}");
            cache.set(&other, &n).await.unwrap();
            cache.get_arc::<u64>(&other).await.unwrap();
        }
        let decoded = async |name: &str| {
            for _ in 0..3 {
                cache.get_arc::<Reads>(name).await.unwrap().unwrap();
            }
        };
        let text = "x".repeat(1000);
        for n in 0..2000 {
            let name = n.to_string();
            cache.set(&name, &text).tags(["t"]).ttl(SECOND).await.unwrap();
            decoded(&name).await;
            match n % 100 {
                10 => drop(cache.remove(&name).await.unwrap()),
                20 => cache.invalidate_tag("t").await.unwrap(),
                30 => clock.advance(SECOND * 2),
                50 => leaf.tell(Invalidation::Gap).await,
                60 => leaf.tell(Invalidation::Address(cache.address(&name).unwrap())).await,
                _ => {}
            }
        }
        leaf.tell(Invalidation::Gap).await;
        // The first read decodes for itself, the second for the copy.
        assert!(dropped.load(SeqCst) >= 4000, "{dropped:?}");
        *keeper.lock().unwrap() = None;
    });
}

/// A cache whose reads fail, so that it lives by its loaders.
fn degraded(clock: &ManualClock, faults: &Faults) -> Cache<Json> {
    let gone = Faults::new();
    gone.inject(
        Fault::before(Error::new(ErrorKind::Unavailable, "gone")).when(|request| matches!(request, Request::Get(_))),
    );
    cache(clock, ErasedService::new(gone.layer(faults.layer(store(clock)))))
}

/// Starts a load of 1 that the gate holds.
fn starts(cache: &Cache<Json>, gate: &Gate) -> tokio::task::JoinHandle<Result<u64>> {
    let (cache, gate) = (cache.clone(), gate.clone());
    tokio::spawn(async move {
        let load = |_| async move {
            gate.pass().await;
            loads(1).await
        };
        cache.get_or_load("a", load).await
    })
}

#[tokio::test]
async fn who_asks_after_a_removal_gets_no_load_from_before_it_though_reads_fail() {
    let (clock, gate) = (ManualClock::new(), Gate::new());
    let cache = degraded(&clock, &Faults::new());
    let removal = cache.remove("a");
    let old = starts(&cache, &gate);
    gate.arrived(1).await;
    removal.await.unwrap();
    let mut new = Box::pin(cache.get_or_load("a", |_| loads(2)).into_future());
    assert!(poll(&mut new).is_none());
    gate.open();
    assert_eq!((new.await.unwrap(), old.await.unwrap().unwrap()), (2, 1));
}

#[tokio::test]
async fn who_asks_after_a_write_gets_no_load_from_before_it_though_reads_fail() {
    let (clock, gate) = (ManualClock::new(), Gate::new());
    let cache = degraded(&clock, &Faults::new());
    let write = cache.set("a", &2).into_future();
    let old = starts(&cache, &gate);
    gate.arrived(1).await;
    write.await.unwrap();
    let mut new = Box::pin(cache.get_or_load("a", |_| loads(2)).into_future());
    assert!(poll(&mut new).is_none());
    gate.open();
    assert_eq!((new.await.unwrap(), old.await.unwrap().unwrap()), (2, 1));
}

#[tokio::test]
async fn who_asks_after_an_invalidation_or_a_batch_gets_no_load_from_before_it_though_reads_fail() {
    for kind in ["invalidate", "remove", "set"] {
        let (clock, gate, slow) = (ManualClock::new(), Gate::new(), Faults::new());
        let cache = degraded(&clock, &slow);
        slow.inject(Fault::hang());
        let writer = cache.clone();
        let write = tokio::spawn(async move {
            match kind {
                "invalidate" => writer.invalidate_tag("t").await.unwrap(),
                "remove" => drop(writer.remove_many(["a", "b"]).await.unwrap()),
                _ => drop(writer.set_many([("a", &2), ("b", &2)]).await.unwrap()),
            }
        });
        settle().await;
        let old = starts(&cache, &gate);
        gate.arrived(1).await;
        slow.heal();
        write.await.unwrap();
        let mut new = Box::pin(cache.get_or_load("a", |_| loads(2)).into_future());
        assert!(poll(&mut new).is_none());
        gate.open();
        assert_eq!((new.await.unwrap(), old.await.unwrap().unwrap()), (2, 1), "{kind}");
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_fails_nobody_who_joins_meanwhile() {
    let (clock, gate) = (ManualClock::new(), Gate::new());
    let cache = cache(&clock, Stack::over(store(&clock)).build());
    let held = gate.clone();
    let load = |_| async move {
        held.pass().await;
        loads(1).await
    };
    let mut first = Box::pin(cache.get_or_load("a", load).hard_timeout(SECOND).into_future());
    assert!(poll(&mut first).is_none());
    gate.arrived(1).await;
    clock.advance(SECOND);
    assert!(poll(&mut first).unwrap().is_err());
    let mut second = Box::pin(cache.get_or_load("a", |_| loads(2)).into_future());
    assert!(poll(&mut second).is_none());
    settle().await;
    gate.open();
    assert_eq!(second.await.unwrap(), 1);
}

/// A store whose leases have no time at all.
#[derive(Clone)]
struct Timeless;

impl Transform for Timeless {
    type Pending = ();

    fn request(&self, request: Request) -> Step<(Request, ())> {
        Step::Now(Ok((request, ())))
    }

    fn response(&self, (): (), mut response: Response) -> Step<Response> {
        if let Response::Found(found) = &mut response {
            for found in found.iter_mut() {
                if let Ok(Lookup::Leased(lease)) = found {
                    lease.ttl = Duration::ZERO;
                }
            }
        }
        Step::Now(Ok(response))
    }
}

#[test]
fn a_lease_without_time_does_not_spin() {
    within_reason(|| async {
        let clock = ManualClock::new();
        let cache = cache(&clock, Stack::over(store(&clock)).seal(Timeless).build());
        let load = |_| async {
            tokio::task::yield_now().await;
            loads(1).await
        };
        assert_eq!(cache.get_or_load("a", load).await.unwrap(), 1);
    });
}

#[tokio::test]
async fn a_failed_refresh_holds_nobody_up_once_there_is_no_stale_value() {
    let clock = ManualClock::new();
    let builder = Cache::builder(Stack::over(store(&clock)).build()).keyspace("k").format(Json).clock(clock.clone());
    let cache = builder.ttl(SECOND * 10).stale_for(SECOND * 2).refresh_pause(SECOND * 3).build().unwrap();
    cache.set("a", &1).await.unwrap();
    clock.advance(SECOND * 11);
    let fails = |_| async { Err::<u64, _>(std::fmt::Error) };
    assert_eq!(cache.get_or_load("a", fails).await.unwrap(), 1, "stale");
    settle().await;
    assert_eq!(cache.stats().load_failures, 1);
    clock.advance(SECOND);
    settle().await;
    let load = tokio::spawn(async move { cache.get_or_load("a", |_| loads(2)).await });
    settle().await;
    assert!(load.is_finished(), "nobody loads, and nobody may wait for that");
}

#[tokio::test(start_paused = true)]
async fn an_attempts_timeout_makes_no_waiter_load_what_another_loads() {
    let store = MemoryStore::builder().max_bytes(8 << 20).build().unwrap();
    let stack = || Stack::over(store.clone()).timeout(TimeoutLayer::new(Duration::from_millis(250))).build();
    let cache = |stack| Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    let (here, there) = (cache(stack()), cache(stack()));
    let gate = Gate::new();
    let old = starts(&here, &gate);
    gate.arrived(1).await;
    let new = tokio::spawn(async move { there.get_or_load("a", |_| loads(2)).await });
    tokio::time::sleep(SECOND).await;
    assert!(!new.is_finished(), "waits");
    gate.open();
    assert_eq!((old.await.unwrap().unwrap(), new.await.unwrap().unwrap()), (1, 1), "one load");
}

#[tokio::test]
async fn waiters_do_not_keep_the_value_they_wait_for_out_of_a_limited_stack() {
    let clock = ManualClock::new();
    let stack = Stack::over(store(&clock)).limit(ConcurrencyLimitLayer::new(1)).build();
    let (here, there) = (cache(&clock, stack.clone()), cache(&clock, stack));
    let gate = Gate::new();
    let old = starts(&here, &gate);
    gate.arrived(1).await;
    let new = tokio::spawn(async move { there.get_or_load("a", |_| loads(2)).await });
    settle().await;
    gate.open();
    settle().await;
    clock.advance(SECOND);
    settle().await;
    assert!(old.is_finished() && new.is_finished(), "the fill got its turn");
    assert_eq!((old.await.unwrap().unwrap(), new.await.unwrap().unwrap()), (1, 1));
}

#[tokio::test]
async fn a_fill_without_a_lease_is_refused() {
    let store = store(&ManualClock::new());
    let entry = || NewEntry::new("v", Lifetime::UNLIMITED);
    store.set(Set::one(key("a"), entry())).await.unwrap();
    let item = SetItem { address: key("a"), entry: entry(), when: When::IfLease(LeaseId(0)) };
    let stored = store.set(Set { items: OneOrMany::One(item), scope: Scope::default() }).await.unwrap();
    assert_eq!(stored.into_one().unwrap().unwrap(), Written::Refused);
}

#[tokio::test]
async fn an_early_refresh_that_finds_a_stale_value_refreshes_that() {
    let (clock, slow) = (ManualClock::new(), Faults::new());
    let store = store(&clock);
    let builder = Cache::builder(ErasedService::new(slow.layer(store.clone()))).keyspace("k").format(Json);
    let here = builder.clock(clock.clone()).ttl(SECOND * 10).refresh_ahead(0.5).build().unwrap();
    let there = cache(&clock, Stack::over(store).build());
    here.set("a", &1).await.unwrap();
    clock.advance(SECOND * 6);
    slow.inject(Fault::hang().when(|request| {
        let Request::Get(get) = request else { return false };
        get.items.iter().any(|item| item.unless.is_some())
    }));
    assert_eq!(here.get_or_load("a", |_| loads(3)).await.unwrap(), 1, "and asks for a refresh");
    settle().await;
    assert_eq!(slow.hanging(), 1);
    there.set("a", &2).ttl(Duration::from_millis(1)).stale_for(SECOND * 60).await.unwrap();
    clock.advance(Duration::from_millis(5));
    slow.heal();
    settle().await;
    assert_eq!(there.get::<u64>("a").await.unwrap(), Some(3), "the lease that came with the stale value was used");
}

/// Panics on being read if it is `1`.
#[derive(Debug)]
struct Touchy;

impl serde::Serialize for Touchy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(0)
    }
}

impl<'de> serde::Deserialize<'de> for Touchy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        assert_ne!(u8::deserialize(deserializer)?, 1, "touched");
        Ok(Self)
    }
}

#[tokio::test]
async fn a_value_that_panics_on_being_read_keeps_no_lease_of_its_batch() {
    let clock = ManualClock::new();
    let cache = cache(&clock, Stack::over(store(&clock)).build());
    cache.set("bad", &1).await.unwrap();
    let reader = cache.clone();
    let batch = tokio::spawn(async move {
        let load = |keys: Vec<&'static str>| async { Ok::<_, Infallible>(keys.into_iter().map(|key| (key, Touchy))) };
        drop(reader.get_many_or_load(["missing", "bad", "other"], load).await);
    });
    assert!(batch.await.unwrap_err().is_panic());
    settle().await;
    for name in ["missing", "other"] {
        let cache = cache.clone();
        let load = tokio::spawn(async move { cache.get_or_load(name, |_| loads(2)).await });
        settle().await;
        assert!(load.is_finished(), "nobody loads {name}");
    }
    let stats = cache.stats();
    let sum = stats.hits + stats.stale + stats.negative + stats.misses + stats.errors + stats.cancelled;
    assert_eq!(sum, stats.requests);
}

#[tokio::test]
async fn debug_shows_no_value_and_no_key() {
    let clock = ManualClock::new();
    let cache = cache(&clock, Stack::over(store(&clock)).build());
    let secret = "Secret";
    let bytes = format!("{:?}", secret.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    let shown = Arc::new(Mutex::new(vec![
        format!("{:?}", cache.set("Secret", secret)),
        format!("{:?}", cache.set_many([("Secret", secret)])),
        format!("{:?}", Invalidation::Stored(b"Secret:Secret:Secret".as_slice().into())),
        format!("{:?}", cache.get_or_load("Secret", |_| async { Ok::<_, Infallible>(secret.to_owned()) })),
        format!("{:?}", cache.remove("Secret")),
        format!("{:?}", memstache_core::memoize::Kept::<&str, &str>::store(secret)),
        format!("{:?}", memstache_core::memoize::Kept::<&str, &str>::Pass(secret)),
    ]));
    cache.set("a", secret).ttl(SECOND).stale_for(SECOND * 60).await.unwrap();
    clock.advance(SECOND * 2);
    let seen = Arc::clone(&shown);
    let load = move |context: memstache_core::LoadContext<String>| async move {
        assert_eq!(context.stale().unwrap(), secret);
        let loaded = context.store(secret.to_owned());
        seen.lock().unwrap().extend([format!("{context:?}"), format!("{loaded:?}")]);
        Ok::<_, Infallible>(loaded)
    };
    let fetched = cache.get_or_load("a", load).entry().await.unwrap();
    settle().await;
    shown.lock().unwrap().push(format!("{fetched:?}"));
    let shown = shown.lock().unwrap();
    assert_eq!(shown.len(), 10);
    let open: BTreeSet<_> = shown.iter().filter(|text| text.contains(secret) || text.contains(bytes)).collect();
    assert!(open.is_empty(), "{open:#?}");
}

/// A source whose versions only rise, and up to which of them everybody has been told.
#[derive(Default)]
struct Source {
    current: AtomicU64,
    acknowledged: AtomicU64,
}

/// One way to make the cache forget, in turn.
async fn change(cache: &Cache<Json, memstache_core::Tenanted>, turn: u64, source: &Source) {
    let tenant = "t".parse().unwrap();
    let handle = cache.for_tenant(&tenant);
    let version = source.current.fetch_add(1, SeqCst) + 1;
    match turn % 6 {
        0 => drop(handle.remove("a").await.unwrap()),
        1 => drop(handle.set("a", &version).tags(["t"]).await.unwrap()),
        2 => handle.invalidate_tag("t").await.unwrap(),
        3 => handle.clear().await.unwrap(),
        4 => cache.clear_tenant(&tenant).await.unwrap(),
        _ => drop(handle.remove_many(["b", "a"]).await.unwrap()),
    }
    source.acknowledged.store(version, SeqCst);
}

/// One way to read, in turn; returns what was read.
async fn look(cache: &Cache<Json>, turn: u64, source: &Arc<Source>, authority: bool) -> Option<u64> {
    let from = Arc::clone(source);
    let load = move || {
        let from = Arc::clone(&from);
        async move {
            let version = from.current.load(SeqCst);
            tokio::task::yield_now().await;
            version
        }
    };
    let many = {
        let load = load.clone();
        move |keys: Vec<&'static str>| {
            let load = load.clone();
            async move {
                let version = load().await;
                Ok::<_, Infallible>(keys.into_iter().map(move |key| (key, version)).collect::<Vec<_>>())
            }
        }
    };
    let read = if authority { cache.read().authority() } else { cache.read() };
    match turn % 8 {
        6 => read.get_arc("a").await.ok()?.map(|version| *version),
        7 => {
            let load = move |_| async move { Ok::<_, Infallible>(load().await) };
            let read = cache.get_or_load("a", load).tags(["t"]).arc();
            Some(*if authority { read.authority().await } else { read.await }.unwrap())
        }
        0 => read.get("a").await.ok()?,
        1 => read.get_many(["b", "a"]).await.ok()?.pop().unwrap().ok()?,
        2 => {
            let read = cache.get_many_or_load(["b", "a"], many).tags(["t"]);
            let read = if authority { read.authority() } else { read };
            read.await.unwrap().pop().unwrap().unwrap()
        }
        3 => {
            let skip = move |context: memstache_core::LoadContext<u64>| async move {
                let version = load().await;
                Ok::<_, Infallible>(context.skip(version))
            };
            let read = cache.get_or_load("a", skip);
            Some(if authority { read.authority().await } else { read.await }.unwrap())
        }
        _ => {
            let load = move |_| async move { Ok::<_, Infallible>(load().await) };
            let read = cache.get_or_load("a", load).tags(["t"]).refresh_ahead(f64::MIN_POSITIVE);
            Some(if authority { read.authority().await } else { read.await }.unwrap())
        }
    }
}

/// Reads and changes at once; nobody may see what was overtaken before he asked.
async fn race(writer: ErasedService, reader: ErasedService, authority: bool) {
    let same = Cache::builder(writer).keyspace("k").format(Json).ttl(SECOND * 60).build_tenanted().unwrap();
    let other = Cache::builder(reader).keyspace("k").format(Json).ttl(SECOND * 60).build_tenanted().unwrap();
    let source = Arc::new(Source::default());
    let tenant = "t".parse().unwrap();
    let readers = (0..4u64).map(|number| {
        let strict = authority && number % 2 == 1;
        let cache = if strict { other.for_tenant(&tenant) } else { same.for_tenant(&tenant) };
        let source = Arc::clone(&source);
        tokio::spawn(async move {
            for turn in 0..1500 {
                let floor = source.acknowledged.load(SeqCst);
                let seen = look(&cache, turn + number, &source, strict).await;
                assert!(seen.is_none_or(|seen| seen >= floor), "read {turn} saw {seen:?} after {floor}");
                if turn % 8 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    let writes = tokio::spawn({
        let source = Arc::clone(&source);
        async move {
            for turn in 0..1500 {
                change(&same, turn, &source).await;
                tokio::task::yield_now().await;
            }
        }
    });
    for task in readers.into_iter().chain([writes]) {
        tokio::time::timeout(SECOND * 60, task).await.expect("nobody hangs").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_what_was_overtaken_in_one_process() {
    let store = MemoryStore::builder().max_bytes(8 << 20).build().unwrap();
    let stack = Stack::over(store.clone()).build();
    race(stack.clone(), stack, true).await;
    let stack = || Stack::over(store.clone()).build();
    race(stack(), stack(), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_what_was_overtaken_through_near_caches() {
    let store = MemoryStore::builder().max_bytes(8 << 20).event_capacity(16).build().unwrap();
    let stack = || Stack::over(store.clone()).near(NearConfig::new(1 << 20).unwrap()).build();
    race(stack(), stack(), true).await;
    let stack = stack();
    race(stack.clone(), stack, false).await;
}

#[tokio::test]
async fn an_authority_read_passes_by_even_in_a_batch() {
    let clock = ManualClock::new();
    let leaf = Told::new(&clock);
    let here = cache(&clock, Stack::over(leaf.clone()).near(near(&clock)).build());
    let there = cache(&clock, Stack::over(leaf.store.clone()).build());
    there.set("a", &1).await.unwrap();
    assert_eq!(here.get::<u8>("a").await.unwrap(), Some(1));
    there.set("a", &2).await.unwrap();
    let scope = Scope { consistency: Consistency::Authority, ..Scope::default() };
    let get = Get { items: [key("a"), key("b")].into_iter().map(Into::into).collect(), on_miss: OnMiss::Lease, scope };
    let found = here.run(get).await.unwrap();
    assert!(matches!(&found.as_slice()[0], Ok(Lookup::Hit(entry)) if entry.value == "2"));
}

/// A leaf whose entries claim a window that no store would give them.
#[derive(Clone)]
struct Absurd;

impl Transform for Absurd {
    type Pending = ();

    fn request(&self, request: Request) -> Step<(Request, ())> {
        Step::Now(Ok((request, ())))
    }

    fn response(&self, (): (), mut response: Response) -> Step<Response> {
        for entry in response.entries_mut() {
            (entry.meta.sliding, entry.meta.load_cost, entry.meta.stale_for) =
                (Some(Duration::MAX), Duration::MAX, Duration::MAX);
        }
        Step::Now(Ok(response))
    }
}

#[tokio::test]
async fn absurd_times_from_below_do_not_panic() {
    let clock = ManualClock::new();
    let cache = cache(&clock, Stack::over(store(&clock)).seal(Absurd).near(near(&clock)).build());
    cache.set("a", &1).await.unwrap();
    for _ in 0..3 {
        let load = cache.get_or_load("a", |_| loads(2)).early_refresh(100.0).refresh_ahead(1.0);
        assert_eq!(load.await.unwrap(), 1);
        clock.advance(SECOND);
    }
    clock.advance(Duration::MAX);
    assert_eq!(cache.get::<u64>("a").await.unwrap(), None);
    // At the end of time every deadline has passed.
    assert_eq!(cache.get_or_load("b", |_| loads(2)).await.unwrap_err().kind(), ErrorKind::Timeout);
}

/// Fails every third read, before or after it was made.
#[derive(Clone, Default)]
struct Flaky(Arc<AtomicUsize>);

impl Transform for Flaky {
    type Pending = bool;

    fn request(&self, request: Request) -> Step<(Request, bool)> {
        let fails = |turn: usize| matches!(request, Request::Get(_)) && turn.is_multiple_of(3);
        let turn = self.0.fetch_add(1, SeqCst);
        if fails(turn) && turn.is_multiple_of(2) {
            return Step::Now(Err(Error::new(ErrorKind::Unavailable, "gone")));
        }
        let lost = fails(turn);
        Step::Now(Ok((request, lost)))
    }

    fn response(&self, lost: bool, response: Response) -> Step<Response> {
        let answer = if lost { Err(Error::new(ErrorKind::Unavailable, "lost")) } else { Ok(response) };
        Step::Now(answer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_what_was_overtaken_over_a_store_that_fails() {
    let store = MemoryStore::builder().max_bytes(8 << 20).lease_ttl(Duration::from_millis(5)).build().unwrap();
    let stack = Stack::over(store.clone()).seal(Flaky::default()).build();
    race(stack.clone(), stack, false).await;
}

#[tokio::test]
async fn a_thousand_waiters_that_leave_and_a_thousand_that_stay_hold_nothing() {
    let clock = ManualClock::new();
    let store = store(&clock);
    let cache = || cache(&clock, Stack::over(store.clone()).build());
    let gate = Gate::new();
    let old = starts(&cache(), &gate);
    gate.arrived(1).await;
    let ask = |cache: Cache<Json>| tokio::spawn(async move { cache.get_or_load("a", |_| loads(2)).await });
    let there = cache();
    let (leave, stay): (Vec<_>, Vec<_>) = (0..1000).map(|_| (ask(there.clone()), ask(there.clone()))).unzip();
    settle().await;
    leave.iter().for_each(tokio::task::JoinHandle::abort);
    clock.advance(SECOND);
    settle().await;
    gate.open();
    for waiter in stay {
        assert_eq!(waiter.await.unwrap().unwrap(), 1);
    }
    assert_eq!(old.await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!(store.stats().leases_standing, 0);
    let stats = there.stats();
    assert_eq!((stats.requests, stats.cancelled, stats.loads), (2000, 1000, 0));
}

#[tokio::test]
async fn a_huge_batch_with_doubles_and_strangers_is_answered_in_order() {
    let clock = ManualClock::new();
    let store = store(&clock);
    let cache = cache(&clock, Stack::over(store.clone()).near(near(&clock)).build());
    let keys: Vec<String> = (0..20_000).map(|n| (n % 10_000).to_string()).collect();
    let load = |keys: Vec<String>| async move {
        assert_eq!(keys.len(), 10_000, "each once");
        let strangers = (0..1000).map(|n| (format!("stranger {n}"), 7_u64));
        Ok::<_, Infallible>(
            keys.into_iter().map(|key| (key.clone(), key.parse().unwrap())).chain(strangers).collect::<Vec<_>>(),
        )
    };
    let found = cache.get_many_or_load(keys, load).await.unwrap();
    assert!(found.into_iter().zip(0_u64..).all(|(value, n)| value.unwrap() == Some(n % 10_000)));
    settle().await;
    assert_eq!(store.stats().leases_standing, 0);
    assert_eq!(cache.get::<u64>("stranger 1").await.unwrap(), None);
}

#[tokio::test]
async fn loaders_may_use_the_cache_under_a_limit_of_one() {
    let clock = ManualClock::new();
    let cache = cache(&clock, Stack::over(store(&clock)).limit(ConcurrencyLimitLayer::new(1)).build());
    let inner = cache.clone();
    let load = |_| async move {
        inner.set("c", &3).await?;
        inner.get_or_load("b", |_| loads(2)).await
    };
    assert_eq!(cache.get_or_load("a", load).await.unwrap(), 2);
    assert_eq!(cache.get_many::<u64>(["a", "b", "c"]).await.unwrap().into_iter().flatten().flatten().sum::<u64>(), 7);
}

#[tokio::test]
async fn every_tag_counts_however_many_doubles_come_before_it() {
    let clock = ManualClock::new();
    let cache = cache(&clock, Stack::over(store(&clock)).build());
    cache.set("page", &1).tags(vec!["category:1"; 200].into_iter().chain(["category:2"])).await.unwrap();
    cache.invalidate_tag("category:2").await.unwrap();
    assert_eq!(cache.get::<u64>("page").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_what_was_overtaken_in_a_store_with_little_of_everything() {
    let builder = MemoryStore::builder().max_bytes(64 << 10).shards(1).max_tag_records(1).event_capacity(1);
    let store = builder.lease_ttl(Duration::from_millis(1)).build().unwrap();
    let stack = || Stack::over(store.clone()).near(NearConfig::new(64 << 10).unwrap()).build();
    race(stack(), stack(), true).await;
}
