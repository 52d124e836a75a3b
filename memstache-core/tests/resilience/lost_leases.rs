//! A lease whose answer, fill or release does not get through must not block its key until it ages out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use memstache_core::{
    Cache, ErasedService, Error, ErrorKind, Json, MemoryStore, OnDegraded, Request, Response, Result, Stack, Step,
    SystemClock, Transform,
    resilience::{LimitLayer, RateConfig, RateLimitLayer, RateLimiter, Resilience, ResilienceConfig},
    testing::{Fault, Faults, Gate, SlowLayer},
};
use tower::Layer;

use crate::kit::{Kit, Stopwatch, millis, secs, settle};

/// Far below the ttl of a lease, four seconds.
const SOON: Duration = millis(900);

fn memory() -> MemoryStore {
    MemoryStore::builder().max_bytes(8 << 20).build().unwrap()
}

fn handle(stack: ErasedService) -> Cache<Json> {
    Cache::builder(stack).keyspace("k").format(Json).build().unwrap()
}

/// What a load answers, and how long that took.
async fn load(cache: &Cache<Json>, key: &str) -> (Result<u8>, Duration) {
    let started = Stopwatch::start();
    let answer = cache.get_or_load(key, |_| async { Ok::<_, Error>(1_u8) }).await;
    (answer, started.elapsed())
}

async fn loads_soon(cache: &Cache<Json>, key: &str, what: &str) {
    let (answer, took) = load(cache, key).await;
    assert_eq!(answer.unwrap_or_else(|error| panic!("{what}: {error}")), 1, "{what}");
    assert!(took < SOON, "{what}: {took:?}");
}

fn stacks<L>(layer: impl Fn() -> L) -> [(&'static str, ErasedService); 2]
where
    L: Layer<MemoryStore>,
    L::Service: memstache_core::CacheService,
{
    let bare = Stack::over(layer().layer(memory())).build();
    let resilient = Stack::over(layer().layer(memory())).resilient(&Resilience::default()).build();
    [("bare", bare), ("resilient", resilient)]
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost() {
    let faults = Faults::new();
    for (name, stack) in stacks(|| faults.clone()) {
        let cache = handle(stack);
        faults.inject(Fault::lost().times(1));
        loads_soon(&cache, "a", &format!("{name}, first")).await;
        loads_soon(&cache, "a", &format!("{name}, second")).await;
        loads_soon(&cache, "a", &format!("{name}, third")).await;
        let loads = if name == "bare" { 2 } else { 1 };
        assert_eq!(cache.stats().loads, loads, "{name}: the repeated attempt has its own lease");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_slower_than_its_time() {
    for (resilient, store_timeout) in [(false, millis(300)), (true, secs(2))] {
        let delay = Arc::new(AtomicU64::new(400));
        let slow = SlowLayer::new(SystemClock::new()).with_after({
            let delay = Arc::clone(&delay);
            move |_| millis(delay.swap(0, SeqCst))
        });
        let stack = Stack::over(slow.layer(memory()));
        let stack = if resilient { stack.resilient(&Resilience::default()).build() } else { stack.build() };
        let cache = Cache::builder(stack).keyspace("k").format(Json).store_timeout(store_timeout).build().unwrap();
        for turn in ["first", "second", "third"] {
            loads_soon(&cache, "a", turn).await;
        }
        assert_eq!(delay.load(SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_answer_is_lost() {
    let faults = Faults::new();
    for (name, stack) in stacks(|| faults.clone()) {
        let cache = handle(stack);
        for turn in ["first", "second"] {
            if turn == "first" {
                faults.inject(Fault::lost().times(1));
            }
            let (keys, started): (Vec<String>, _) = ((0..50).map(|n| n.to_string()).collect(), Stopwatch::start());
            let brings = |keys: Vec<String>| async move {
                Ok::<_, Error>(keys.into_iter().map(|key| (key, 1_u8)).collect::<Vec<_>>())
            };
            let found = cache.get_many_or_load(keys, brings).await.unwrap();
            assert!(found.into_iter().all(|found| found.unwrap() == Some(1)), "{name}, {turn}");
            assert!(started.elapsed() < SOON, "{name}, {turn}: {:?}", started.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_under_a_hard_timeout_shorter_than_a_lease() {
    let faults = Faults::new();
    let stack = Stack::over(faults.layer(memory())).resilient(&Resilience::default()).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).hard_timeout(secs(1)).build().unwrap();
    faults.inject(Fault::lost().times(1));
    loads_soon(&cache, "a", "this call").await;
    loads_soon(&cache, "a", "the next").await;
}

/// Goes wrong on the way up, once.
#[derive(Clone, Default)]
struct Wrong(Arc<AtomicUsize>);

const ERROR: usize = 1;
const LATE_ERROR: usize = 2;
const PANIC: usize = 3;

impl Transform for Wrong {
    type Pending = ();

    fn request(&self, request: Request) -> Step<(Request, ())> {
        Step::Now(Ok((request, ())))
    }

    fn response(&self, (): (), response: Response) -> Step<Response> {
        let gone = || Err(Error::new(ErrorKind::Unavailable, "the source of keys is away"));
        match self.0.swap(0, SeqCst) {
            ERROR => Step::Now(gone()),
            LATE_ERROR => Step::Wait(Box::pin(async move { gone() })),
            PANIC => panic!("on purpose"),
            _ => Step::Now(Ok(response)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_fails_or_panics_on_the_way_up() {
    for resilient in [false, true] {
        for how in [ERROR, LATE_ERROR, PANIC] {
            let wrong = Wrong::default();
            let stack = Stack::over(memory()).compress(wrong.clone());
            let stack = if resilient { stack.resilient(&Resilience::default()).build() } else { stack.build() };
            let cache = handle(stack);
            wrong.0.store(how, SeqCst);
            let first = {
                let cache = cache.clone();
                tokio::spawn(async move { load(&cache, "a").await })
            };
            match first.await {
                Ok((answer, took)) => assert!(how != PANIC && answer.unwrap() == 1 && took < SOON, "{how}: {took:?}"),
                Err(error) => assert!(how == PANIC && error.is_panic(), "{how}: {error}"),
            }
            loads_soon(&cache, "a", &format!("resilient {resilient}, {how}")).await;
            let stats = cache.stats();
            assert_eq!(stats.requests, stats.hits + stats.misses + stats.errors, "each is counted once: {stats:?}");
        }
    }
}

/// One load held by a gate while something is done; its loader then fails or not. Then the key is asked for again.
async fn while_it_loads(cache: &Cache<Json>, fails: bool, meanwhile: impl AsyncFnOnce()) -> Result<u8> {
    let gate = Gate::new();
    let load = {
        let (cache, gate) = (cache.clone(), gate.clone());
        tokio::spawn(async move {
            let source = move |_| async move {
                gate.pass().await;
                if fails { Err(Error::new(ErrorKind::Io, "the source is away")) } else { Ok(1_u8) }
            };
            cache.get_or_load("a", source).await
        })
    };
    gate.arrived(1).await;
    meanwhile().await;
    gate.open();
    let answer = load.await.unwrap();
    settle().await;
    answer
}

#[tokio::test(start_paused = true)]
async fn a_fill_and_a_release_while_the_limit_is_full() {
    for fails in [false, true] {
        let (faults, limit) = (Faults::new(), LimitLayer::new(1).unwrap());
        let cache = handle(Stack::over(faults.layer(memory())).limit(limit.clone()).build());
        let held = Arc::new(std::sync::Mutex::new(None));
        let answer = while_it_loads(&cache, fails, async || {
            faults.inject(Fault::hang().when(|request| matches!(request, Request::Get(_))));
            let cache = cache.clone();
            *held.lock().unwrap() =
                Some(tokio::spawn(async move { cache.read().timeout(secs(60)).get::<u8>("held").await }));
            settle().await;
            assert_eq!(limit.snapshot().taken, 1);
        })
        .await;
        assert_eq!(answer.is_err(), fails);
        assert_eq!(limit.snapshot().refused, 0, "neither is counted as shed");
        faults.heal();
        let held = held.lock().unwrap().take().unwrap();
        assert_eq!(held.await.unwrap().unwrap(), None);
        loads_soon(&cache, "a", "next").await;
        assert_eq!((cache.stats().fills_failed, cache.stats().loads), (0, if fails { 2 } else { 1 }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_and_a_fill_over_the_rate() {
    // Two items at once: each load takes one for its read, and none for what ends it.
    let rate = RateLimiter::new(RateConfig::per_second(1).with_burst(2)).unwrap();
    let cache = handle(Stack::over(memory()).limit(RateLimitLayer::new(rate)).build());
    let fails = |_| async { Err::<u8, _>(Error::new(ErrorKind::Io, "the source is away")) };
    assert_eq!(cache.get_or_load("a", fails).await.unwrap_err().kind(), ErrorKind::Load);
    settle().await;
    loads_soon(&cache, "b", "the burst's second").await;
    assert_eq!(cache.stats().fills_failed, 0);
    tokio::time::sleep(secs(3)).await;
    loads_soon(&cache, "a", "released").await;
    assert_eq!(cache.get::<u8>("b").await.unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_release_while_the_store_is_down_is_made_up_for() {
    let faults = Faults::new();
    for (name, stack) in stacks(|| faults.clone()) {
        let cache = handle(stack);
        let answer = while_it_loads(&cache, true, async || {
            faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "the store is gone")));
        })
        .await;
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Load);
        tokio::time::sleep(millis(500)).await;
        faults.heal();
        loads_soon(&cache, "a", name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_one_who_waits_is_lost() {
    let (faults, store) = (Faults::new(), memory());
    let here = handle(Stack::over(store.clone()).build());
    let there = handle(Stack::over(faults.layer(store.clone())).build());
    let mut waiting = None;
    let answer = while_it_loads(&here, true, async || {
        faults.inject(Fault::lost().times(1).when(Request::waits));
        let there = there.clone();
        waiting = Some(tokio::spawn(async move { load(&there, "a").await }));
        settle().await;
    })
    .await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Load);
    // Handed over to the one who waits, who is not told; it asks again and is in the way of nobody.
    let (answer, took) = waiting.unwrap().await.unwrap();
    assert!(answer.unwrap() == 1 && took < secs(2), "{took:?}");
    loads_soon(&here, "a", "next").await;
    settle().await;
    assert_eq!(store.stats().leases_standing, 0);
}

#[tokio::test(start_paused = true)]
async fn callers_who_leave_at_any_time_leave_no_lease() {
    for polls in 0..12 {
        let store = memory();
        let slow = SlowLayer::new(SystemClock::new()).with_before(|_| millis(3)).with_after(|_| millis(3));
        let stack = Stack::over(slow.layer(store.clone())).resilient(&Resilience::default()).build();
        let cache = handle(stack);
        let caller = {
            let cache = cache.clone();
            tokio::spawn(async move { load(&cache, "a").await })
        };
        tokio::time::sleep(millis(polls)).await;
        caller.abort();
        tokio::time::sleep(millis(100)).await;
        assert_eq!(store.stats().leases_standing, 0, "left after {polls} ms");
        loads_soon(&cache, "a", "next").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_while_a_near_copy_is_served_in_its_place() {
    let kit = Kit::new(ResilienceConfig::none());
    let (stack, _) = kit.near_stack(OnDegraded::default());
    let cache = kit.builder(stack).ttl(secs(1)).stale_for(secs(600)).build().unwrap();
    let loaded = |value: u8| cache.get_or_load("a", move |_| async move { Ok::<_, Error>(value) });
    assert_eq!(loaded(1).await.unwrap(), 1);
    assert_eq!(loaded(1).await.unwrap(), 1, "a copy");
    kit.pass(secs(2)).await;
    kit.faults.inject(Fault::lost().times(1));
    assert_eq!(loaded(2).await.unwrap(), 1, "the copy, and a lease that nobody is told of");
    kit.pass(millis(100)).await;
    assert_eq!(loaded(3).await.unwrap(), 1, "the copy, while another is loaded");
    kit.pass(millis(100)).await;
    assert_eq!(loaded(4).await.unwrap(), 3, "what was loaded long before the lost lease would have aged out");
}
