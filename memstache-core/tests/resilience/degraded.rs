//! What each operation answers while the store is up, gone, hanging, loses its answers, or is back; and what is read
//! after it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use futures_util::{StreamExt, stream};
use memstache_core::{
    BoxFuture, Cache, CacheService, Coherence, Error, ErrorKind, Fetched, Invalidation, InvalidationStream, Json,
    LoadContext, NearConfig, NearView, OnDegraded, Outcome, Request, Response, Result, Stack, Written,
    resilience::ResilienceConfig, testing::Fault,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tower::Service;

use crate::kit::{Kit, kind, millis, secs, settle};

/// A leaf whose stream of changes can be cut.
#[derive(Clone)]
struct Line<S> {
    inner: S,
    ends: Arc<Mutex<Vec<mpsc::UnboundedSender<Invalidation>>>>,
    cut: Arc<AtomicBool>,
}

impl<S: CacheService<Error = Error>> Service<Request> for Line<S> {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin(self.inner.call(request))
    }
}

impl<S: Coherence> Coherence for Line<S> {
    fn subscribe(&self) -> InvalidationStream {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.ends.lock().push(sender);
        let told = stream::unfold(receiver, |mut receiver| async move {
            let change = receiver.recv().await?;
            Some((change, receiver))
        });
        let cut = Arc::clone(&self.cut);
        let inner = self.inner.subscribe().filter(move |_| std::future::ready(!cut.load(SeqCst)));
        InvalidationStream::new(stream::select(inner, told))
    }
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Store {
    Up,
    /// Every attempt fails, and nothing happens.
    Down,
    Hangs,
    /// Everything happens, and no answer arrives.
    Lost,
}

struct Bench {
    kit: Kit,
    cache: Cache<Json>,
    near: NearView,
    line: Line<crate::kit::Leaf>,
}

impl Bench {
    /// A near cache that holds `copied` = 1, over a store that holds `bare` = 5 as well.
    async fn new(on_degraded: OnDegraded) -> Self {
        let kit = Kit::new(ResilienceConfig::default());
        let line = Line { inner: kit.leaf(), ends: Arc::default(), cut: Arc::default() };
        let near = NearConfig::new(1 << 20).unwrap().with_clock(kit.clock.clone()).with_on_degraded(on_degraded);
        let (stack, near) = Stack::over(line.clone()).resilient(&kit.resilience).near(near).build_with_view();
        let cache = kit.builder(stack).ttl(secs(600)).build().unwrap();
        cache.set("copied", &1).await.unwrap();
        cache.set("bare", &5).await.unwrap();
        settle().await;
        assert_eq!(cache.get::<u32>("copied").await.unwrap(), Some(1));
        Self { kit, cache, near, line }
    }

    async fn tell(&self, change: Invalidation) {
        self.line.ends.lock().iter().for_each(|end| drop(end.send(change.clone())));
        settle().await;
    }

    async fn store_is(&self, store: Store) {
        self.kit.faults.heal();
        match store {
            Store::Up => {
                let change = if self.line.cut.swap(false, SeqCst) { Invalidation::Gap } else { Invalidation::Restored };
                self.tell(change).await;
                // Until the prober has noticed.
                return self.kit.pass(millis(300)).await;
            }
            Store::Down => self.kit.down(),
            Store::Hangs => self.kit.hang(),
            Store::Lost => {
                self.line.cut.store(true, SeqCst);
                self.kit.faults.inject(Fault::lost());
            }
        }
        self.tell(Invalidation::Lost).await;
    }

    /// Makes a call, which has two seconds, the deadline of a store call.
    async fn answer(&self, does: &'static str) -> String {
        let call = tokio::spawn(answer(self.cache.clone(), does));
        for _ in 0..200 {
            if call.is_finished() {
                break;
            }
            self.kit.pass_by(millis(10), millis(10)).await;
        }
        assert!(call.is_finished(), "{does} hangs");
        call.await.unwrap()
    }
}

async fn answer(cache: Cache<Json>, does: &'static str) -> String {
    let (operation, key) = does.split_once(' ').unwrap();
    match operation {
        "get" => show(cache.get::<u32>(key).await.map(|value| value.map(|value| value.to_string()))),
        "entry" => fetched(cache.get_entry::<u32>(key).await),
        "load" => fetched(cache.get_or_load(key, |_: LoadContext<u32>| async { Ok::<_, Error>(9) }).entry().await),
        "load_brief" => {
            let load = cache.get_or_load(key, |_: LoadContext<u32>| async { Ok::<_, Error>(9) });
            fetched(load.ttl(secs(10)).stale_for(secs(30)).entry().await)
        }
        "load_in_vain" => {
            let gone =
                |_: LoadContext<u32>| async { Err::<u32, _>(Error::new(ErrorKind::Timeout, "the source is gone")) };
            fetched(cache.get_or_load(key, gone).entry().await)
        }
        "set" => written(cache.set(key, &2).await),
        "add" => written(cache.set(key, &2).if_absent().await),
        "remove" => show(cache.remove(key).await.map(|was| Some(was.to_string()))),
        "touch" => show(cache.touch(key).await.map(|was| Some(was.to_string()))),
        "tag" => show(cache.invalidate_tag(key).await.map(|_| Some("done".to_owned()))),
        "get_many" => {
            let items = cache.get_many::<u32>(["copied", "bare"]).await;
            many(items, |value| value.map_or_else(|| "none".to_owned(), |value: u32| value.to_string()))
        }
        "load_many" => {
            let loader = |keys: Vec<&'static str>| async move {
                Ok::<_, Error>(keys.into_iter().map(|key| (key, 9)).collect::<Vec<_>>())
            };
            let items = cache.get_many_or_load(["copied", "bare"], loader).await;
            many(items, |value| value.map_or_else(|| "none".to_owned(), |value: u32| value.to_string()))
        }
        "set_many" => many(cache.set_many([("copied", &2), ("bare", &2)]).await, |stored| written(Ok(stored))),
        "remove_many" => many(cache.remove_many(["copied", "bare"]).await, |was| was.to_string()),
        other => panic!("{other}"),
    }
}

fn show(result: Result<Option<String>>) -> String {
    match result {
        Ok(value) => value.unwrap_or_else(|| "none".to_owned()),
        Err(error) => error.kind().as_str().to_owned(),
    }
}

fn fetched(result: Result<Fetched<u32>>) -> String {
    match result {
        Ok(found) => fetched_text(found.value, found.outcome),
        Err(error) => error.kind().as_str().to_owned(),
    }
}

fn fetched_text(value: Option<u32>, outcome: Outcome) -> String {
    let value = value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    format!("{value} {outcome:?}").to_lowercase()
}

fn written(result: Result<Written>) -> String {
    match result {
        Ok(Written::Stored(_)) => "stored".to_owned(),
        Ok(other) => format!("{other:?}").to_lowercase(),
        Err(error) => error.kind().as_str().to_owned(),
    }
}

fn many<T>(items: Result<Vec<Result<T>>>, show: impl Fn(T) -> String) -> String {
    match items {
        Ok(items) => {
            let text = |item: Result<T>| item.map_or_else(|error| error.kind().as_str().to_owned(), &show);
            items.into_iter().map(text).collect::<Vec<_>>().join(",")
        }
        Err(error) => error.kind().as_str().to_owned(),
    }
}

/// An operation; what it answers, then what `entry` of the key answers, while the store is up, is down, hangs, has
/// lost its answers; and what both answer once it is back, after it was down for the operation.
type Row = (&'static str, [&'static str; 5]);

/// Where no mode says otherwise. After a call that was tried four times in vain, the breaker opens with the next
/// attempt.
const ROWS: &[Row] = &[
    ("get copied", ["1; 1 hit", "none; 1 stale", "none; 1 stale", "none; 1 stale", "1; 1 hit"]),
    ("entry copied", ["1 hit; 1 hit", "1 stale; 1 stale", "1 stale; 1 stale", "1 stale; 1 stale", "1 hit; 1 hit"]),
    ("get bare", ["5; 5 hit", "unavailable; unavailable", "timeout; unavailable", "timeout; unavailable", "5; 5 hit"]),
    ("load copied", ["1 hit; 1 hit", "1 stale; 1 stale", "1 stale; 1 stale", "1 stale; 1 stale", "1 hit; 1 hit"]),
    // What was loaded without a store is kept until it is back.
    ("load bare", ["5 hit; 5 hit", "9 miss; 9 stale", "9 miss; 9 stale", "9 miss; 9 stale", "5 hit; 5 hit"]),
    ("load gone", ["9 miss; 9 hit", "9 miss; 9 stale", "9 miss; 9 stale", "9 miss; 9 stale", "9 miss; 9 hit"]),
    // A write under a condition, a touch and a removal are never done here alone.
    (
        "add gone",
        ["stored; 2 hit", "unavailable; unavailable", "unknown; timeout", "unknown; timeout", "stored; 2 hit"],
    ),
    (
        "remove copied",
        [
            "true; none miss",
            "unavailable; unavailable",
            "unknown; unavailable",
            "unknown; unavailable",
            "true; none miss",
        ],
    ),
    ("touch copied", ["true; 1 hit", "unavailable; 1 stale", "unknown; 1 stale", "unknown; 1 stale", "true; 1 hit"]),
    // It may have happened: all copies go.
    (
        "tag copied",
        ["done; 1 hit", "unavailable; unavailable", "unknown; unavailable", "unknown; unavailable", "done; 1 hit"],
    ),
    (
        "get_many copied",
        ["1,5; 1 hit", "none,unavailable; 1 stale", "none,timeout; 1 stale", "none,timeout; 1 stale", "1,5; 1 hit"],
    ),
    ("load_many copied", ["1,5; 1 hit", "1,9; 1 stale", "1,9; 1 stale", "1,9; 1 stale", "1,5; 1 hit"]),
    (
        "remove_many copied",
        [
            "true,true; none miss",
            "unavailable; unavailable",
            "unknown; unavailable",
            "unknown,unknown; unavailable",
            "true,true; none miss",
        ],
    ),
];

const ERROR: &[Row] = &[
    ("set copied", ["stored; 2 hit", "unavailable; 2 stale", "unknown; 2 stale", "unknown; 2 stale", "stored; 2 hit"]),
    ("set gone", ["stored; 2 hit", "unavailable; 2 stale", "unknown; 2 stale", "unknown; 2 stale", "stored; 2 hit"]),
    (
        "set_many copied",
        [
            "stored,stored; 2 hit",
            "unavailable; 2 stale",
            "unknown; 2 stale",
            "unknown,unknown; 2 stale",
            "stored,stored; 2 hit",
        ],
    ),
];

const NEAR_ONLY: &[Row] = &[
    ("set copied", ["stored; 2 hit", "nearonly; 2 stale", "nearonly; 2 stale", "nearonly; 2 stale", "stored; 2 hit"]),
    ("set gone", ["stored; 2 hit", "nearonly; 2 stale", "nearonly; 2 stale", "nearonly; 2 stale", "stored; 2 hit"]),
    (
        "set_many copied",
        [
            "stored,stored; 2 hit",
            "nearonly,nearonly; 2 stale",
            "nearonly,nearonly; 2 stale",
            "nearonly,nearonly; 2 stale",
            "stored,stored; 2 hit",
        ],
    ),
];

async fn check(on_degraded: OnDegraded, rows: &[Row]) {
    let mut wrong = Vec::new();
    for (does, expected) in rows {
        let entry: &'static str = match does.split_once(' ').unwrap().1 {
            "copied" => "entry copied",
            "bare" => "entry bare",
            _ => "entry gone",
        };
        for (column, expected) in [Store::Up, Store::Down, Store::Hangs, Store::Lost].into_iter().zip(expected) {
            let bench = Bench::new(on_degraded).await;
            bench.store_is(column).await;
            let answer = format!("{}; {}", bench.answer(does).await, bench.answer(entry).await);
            if answer != *expected {
                wrong.push(format!("{does}, {column:?}: {answer:?}, not {expected:?}"));
            }
        }
        let bench = Bench::new(on_degraded).await;
        bench.store_is(Store::Down).await;
        bench.answer(does).await;
        bench.store_is(Store::Up).await;
        let answer = format!("{}; {}", bench.answer(does).await, bench.answer(entry).await);
        if answer != expected[4] {
            wrong.push(format!("{does}, back: {answer:?}, not {:?}", expected[4]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn every_operation_in_every_state_of_the_store() {
    check(OnDegraded::Error, ROWS).await;
}

#[tokio::test(start_paused = true)]
async fn every_operation_in_every_state_where_writes_are_kept_near() {
    check(OnDegraded::NearOnly, ROWS).await;
}

#[tokio::test(start_paused = true)]
async fn plain_writes_are_errors_and_kept_unverified() {
    check(OnDegraded::Error, ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn plain_writes_are_kept_near_only_where_that_is_wanted() {
    check(OnDegraded::NearOnly, NEAR_ONLY).await;
}

#[tokio::test(start_paused = true)]
async fn once_it_is_back_the_store_says_what_is_true() {
    for on_degraded in [OnDegraded::Error, OnDegraded::NearOnly] {
        for (store, does, expected) in [
            // Nothing is replayed behind the caller's back.
            (Store::Down, "set copied", "1 hit"),
            (Store::Down, "set gone", "none miss"),
            (Store::Down, "remove copied", "1 hit"),
            (Store::Down, "load gone", "none miss"),
            // And what happened, has.
            (Store::Lost, "set copied", "2 hit"),
            (Store::Lost, "remove copied", "none miss"),
        ] {
            let bench = Bench::new(on_degraded).await;
            bench.store_is(store).await;
            bench.answer(does).await;
            bench.store_is(Store::Up).await;
            let entry = if does.ends_with("copied") { "entry copied" } else { "entry gone" };
            assert_eq!(bench.answer(entry).await, expected, "{does}, {store:?}");
            // Nor does the next outage bring back what the store has contradicted.
            bench.store_is(Store::Down).await;
            let again = bench.answer(entry).await;
            let expected =
                if expected == "none miss" { "unavailable".to_owned() } else { expected.replace("hit", "stale") };
            assert_eq!(again, expected, "{does}, {store:?}, the next outage");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_kept_near_only_ends_with_its_ttl_and_an_older_one_never_comes_back() {
    let bench = Bench::new(OnDegraded::NearOnly).await;
    bench.store_is(Store::Down).await;
    let cache = bench.cache.clone();
    let set = tokio::spawn(async move { cache.set("copied", &2).ttl(secs(10)).await });
    bench.kit.pass(secs(1)).await;
    assert_eq!(set.await.unwrap().unwrap(), Written::NearOnly);
    assert_eq!(bench.answer("entry copied").await, "2 stale");
    bench.kit.pass_by(secs(10), secs(1)).await;
    assert_eq!(bench.answer("entry copied").await, "unavailable");
    assert_eq!(bench.near.stats().kept_unverified, 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_loaded_while_the_store_is_away_has_its_grace_when_the_source_goes_too() {
    let bench = Bench::new(OnDegraded::Error).await;
    bench.store_is(Store::Down).await;
    assert_eq!(bench.answer("load_brief gone").await, "9 miss");
    for _ in 0..2 {
        bench.kit.pass_by(secs(15), secs(1)).await;
        assert_eq!(bench.answer("load_in_vain gone").await, "9 stale");
    }
    bench.kit.pass_by(secs(15), secs(1)).await;
    assert_eq!(bench.answer("load_in_vain gone").await, "load", "its grace has ended");
}

#[tokio::test(start_paused = true)]
async fn what_the_store_serves_stale_is_served_when_it_goes_too() {
    let bench = Bench::new(OnDegraded::Error).await;
    assert_eq!(bench.answer("load_brief gone").await, "9 miss");
    bench.kit.pass_by(secs(15), secs(1)).await;
    for _ in 0..2 {
        assert_eq!(bench.answer("load_in_vain gone").await, "9 stale");
        assert_eq!(bench.near.stats().entries, 2, "beside the one that was copied before");
    }
    bench.store_is(Store::Down).await;
    assert_eq!(bench.answer("load_in_vain gone").await, "9 stale");
    assert_eq!(bench.answer("remove gone").await, "unavailable");
    assert_eq!(bench.answer("load_in_vain gone").await, "load", "nothing is served that was removed");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_began_before_a_removal_is_not_kept_after_it() {
    let bench = Bench::new(OnDegraded::Error).await;
    bench.store_is(Store::Down).await;
    let gate = memstache_core::testing::Gate::new();
    let (cache, held) = (bench.cache.clone(), gate.clone());
    let load = tokio::spawn(async move {
        let loader = move |_: LoadContext<u32>| async move {
            held.pass().await;
            Ok::<_, Error>(9)
        };
        cache.get_or_load("gone", loader).await
    });
    bench.kit.pass(secs(1)).await;
    assert_eq!(gate.waiting(), 1);
    assert_eq!(bench.answer("remove gone").await, "unavailable");
    gate.open();
    assert_eq!(load.await.unwrap().unwrap(), 9, "its own caller gets it");
    assert_eq!(bench.answer("entry gone").await, "unavailable", "and nobody who asks afterwards");
    assert_eq!(bench.near.stats().kept_unverified, 0);
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_the_store_does_not_take_any_more_is_kept_and_one_after_a_tag_is_not() {
    for tag in [false, true] {
        let bench = Bench::new(OnDegraded::Error).await;
        let gate = memstache_core::testing::Gate::new();
        let (cache, held) = (bench.cache.clone(), gate.clone());
        let load = tokio::spawn(async move {
            let loader = move |_: LoadContext<u32>| async move {
                held.pass().await;
                Ok::<_, Error>(9)
            };
            cache.get_or_load("gone", loader).tags(["t"]).await
        });
        settle().await;
        if tag {
            bench.cache.invalidate_tag("t").await.unwrap();
        }
        bench.store_is(Store::Down).await;
        gate.open();
        bench.kit.pass(secs(2)).await;
        assert_eq!(load.await.unwrap().unwrap(), 9);
        let expected = if tag { "unavailable" } else { "9 stale" };
        assert_eq!(bench.answer("entry gone").await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_limit_is_no_outage() {
    let bench = Bench::new(OnDegraded::NearOnly).await;
    bench.kit.faults.inject(Fault::before(Error::new(ErrorKind::Overloaded, "a limit").with_retryable(false)));
    assert_eq!(kind(bench.cache.set("copied", &2).await), ErrorKind::Overloaded);
    assert_eq!(bench.near.stats().kept_unverified, 0);
}

#[tokio::test]
async fn a_write_that_fails_late_does_not_cover_what_was_acknowledged_meanwhile() {
    let bench = Bench::new(OnDegraded::NearOnly).await;
    bench.kit.faults.inject(Fault::hang().when(|request| matches!(request, Request::Set(_))));
    let late = tokio::spawn(answer(bench.cache.clone(), "set copied"));
    bench.kit.pass(millis(100)).await;
    assert_eq!(answer(bench.cache.clone(), "remove copied").await, "true");
    for _ in 0..100 {
        bench.kit.pass(millis(50)).await;
    }
    assert!(late.is_finished());
    assert_eq!(late.await.unwrap(), "unknown", "it is not kept here either");
    bench.store_is(Store::Down).await;
    assert_eq!(bench.answer("entry copied").await, "unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_failed_above_the_store_is_kept_nowhere() {
    let kit = Kit::new(ResilienceConfig { breaker: None, retry: None, ..ResilienceConfig::default() });
    let (stack, near) = kit.near_stack(OnDegraded::NearOnly);
    let cache = kit.builder(stack).build().unwrap();
    let lost = Error::new(ErrorKind::Unavailable, "there is no key");
    let sets = |request: &Request| matches!(request, Request::Set(_));
    kit.faults.inject(Fault::before(lost.clone().above_store()).when(sets));
    assert_eq!(kind(cache.set("a", &1).await), ErrorKind::Unavailable);
    assert_eq!(cache.get_or_load("a", |_| async { Ok::<_, Error>(2) }).await.unwrap(), 2);
    assert_eq!((near.stats().kept_unverified, cache.get_entry::<u32>("a").await.unwrap().value), (0, None));
    kit.faults.heal();
    kit.faults.inject(Fault::before(lost).when(sets));
    assert_eq!(cache.set("a", &1).await.unwrap(), Written::NearOnly, "the store's own error is another matter");
    assert_eq!(near.stats().kept_unverified, 1);
}
