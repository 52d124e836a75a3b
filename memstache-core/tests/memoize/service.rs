//! What callers of a memoized service may rely on, case by case.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use memstache_core::{
    BoxError, Cache, CacheBuilder, ErasedService, Error, ErrorKind, Json, MemoryStore, NearConfig, Request, Response,
    Stack, TenantId,
    memoize::{Keyed, MemoKey, Memoize, MemoizeLayer},
    testing::ManualClock,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock::{Handle, Mock, pair};

const MINUTE: Duration = Duration::from_secs(60);

/// A request whose key is not all of it.
#[derive(Clone, Debug)]
struct Ask {
    key: String,
    from: u32,
}

fn ask(key: &str, from: u32) -> Ask {
    Ask { key: key.to_owned(), from }
}

fn builder(clock: &ManualClock) -> CacheBuilder<Json> {
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    Cache::builder(Stack::over(store).build()).keyspace("k").format(Json).clock(Arc::new(clock.clone())).ttl(MINUTE)
}

fn cache() -> Cache<Json> {
    builder(&ManualClock::new()).build().unwrap()
}

fn by_key(cache: Cache<Json>) -> MemoizeLayer<Cache<Json>, Keyed<Ask, String>> {
    MemoizeLayer::new(cache, |ask: &Ask| ask.key.clone())
}

type Memoized = Memoize<Mock<Ask, String>, Cache<Json>, Keyed<Ask, String>>;

fn mocked(layer: &MemoizeLayer<Cache<Json>, Keyed<Ask, String>>) -> (Memoized, Handle<Ask, String>) {
    let (service, handle) = pair();
    (layer.layer(service), handle)
}

/// Starts a call and lets it come as far as it does by itself.
async fn start(service: &Memoized, ask: Ask) -> tokio::task::JoinHandle<Result<String, Error>> {
    let call = tokio::spawn(service.clone().oneshot(ask));
    settle().await;
    call
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn answer(handle: &mut Handle<Ask, String>, response: &str) -> Ask {
    let (ask, send) = handle.next_request().await.unwrap();
    send.send_response(response.to_owned());
    ask
}

#[tokio::test]
async fn equal_requests_share_one_inner_call_and_its_response_is_kept() {
    let (service, mut handle) = mocked(&by_key(cache()));
    let mut calls = Vec::new();
    for from in 0..100 {
        calls.push(start(&service, ask("a", from)).await);
    }
    assert_eq!(answer(&mut handle, "tea").await.from, 0);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "tea");
    }
    handle.allow(0);
    assert_eq!(service.oneshot(ask("a", 7)).await.unwrap(), "tea", "a hit does not wait for the inner service");
}

#[tokio::test]
async fn a_response_that_is_not_cacheable_is_its_callers_own() {
    let cache = cache();
    let (service, mut handle) = mocked(&by_key(cache.clone()).cacheable_if(|text: &String| !text.starts_with("bad")));
    let (first, second) = (start(&service, ask("a", 1)).await, start(&service, ask("a", 2)).await);
    assert_eq!(answer(&mut handle, "bad 1").await.from, 1);
    assert_eq!(first.await.unwrap().unwrap(), "bad 1");
    assert_eq!(answer(&mut handle, "bad 2").await.from, 2);
    assert_eq!(second.await.unwrap().unwrap(), "bad 2");
    let third = start(&service, ask("a", 3)).await;
    answer(&mut handle, "good").await;
    assert_eq!(third.await.unwrap().unwrap(), "good");
    assert_eq!(service.oneshot(ask("a", 4)).await.unwrap(), "good");
    assert_eq!(cache.stats().load_failures, 0);
}

#[tokio::test]
async fn with_a_negative_ttl_callers_of_an_uncacheable_key_do_not_wait_for_one_another() {
    let cache = builder(&ManualClock::new()).negative_ttl(MINUTE).build().unwrap();
    let (service, mut handle) = mocked(&by_key(cache).cacheable_if(|_: &String| false));
    let first = start(&service, ask("a", 1)).await;
    answer(&mut handle, "1").await;
    assert_eq!(first.await.unwrap().unwrap(), "1");
    let (second, third) = (start(&service, ask("a", 2)).await, start(&service, ask("a", 3)).await);
    let (_, two) = handle.next_request().await.unwrap();
    let (_, three) = handle.next_request().await.unwrap();
    three.send_response("3".to_owned());
    two.send_response("2".to_owned());
    assert_eq!((second.await.unwrap().unwrap(), third.await.unwrap().unwrap()), ("2".to_owned(), "3".to_owned()));
}

#[tokio::test]
async fn an_inner_error_reaches_every_waiter_and_is_not_cached() {
    let (service, mut handle) = mocked(&by_key(cache()));
    let calls = [start(&service, ask("a", 1)).await, start(&service, ask("a", 2)).await];
    handle.next_request().await.unwrap().1.send_error(std::fmt::Error);
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Load);
        assert!(error.find_source::<std::fmt::Error>().is_some());
    }
    let again = start(&service, ask("a", 3)).await;
    answer(&mut handle, "tea").await;
    assert_eq!(again.await.unwrap().unwrap(), "tea");
}

#[tokio::test]
async fn an_inner_panic_is_an_error_for_all_and_the_next_caller_tries_again() {
    let runs = Arc::new(AtomicUsize::new(0));
    let inner = service_fn(move |_: Ask| {
        let run = runs.fetch_add(1, SeqCst);
        async move {
            tokio::task::yield_now().await;
            assert!(run > 0, "the first one panics");
            Ok::<_, std::io::Error>("tea".to_owned())
        }
    });
    let service = by_key(cache()).layer(inner);
    let (a, b) = tokio::join!(service.clone().oneshot(ask("a", 1)), service.clone().oneshot(ask("a", 2)));
    assert_eq!(a.unwrap_err().kind(), ErrorKind::LoadPanicked);
    assert_eq!(b.unwrap_err().kind(), ErrorKind::LoadPanicked);
    assert_eq!(service.oneshot(ask("a", 3)).await.unwrap(), "tea");
}

#[tokio::test]
async fn a_dropped_caller_harms_nobody() {
    let (service, mut handle) = mocked(&by_key(cache()));
    let (first, second) = (start(&service, ask("a", 1)).await, start(&service, ask("a", 2)).await);
    first.abort();
    settle().await;
    answer(&mut handle, "tea").await;
    assert_eq!(second.await.unwrap().unwrap(), "tea");

    let alone = start(&service, ask("b", 1)).await;
    alone.abort();
    settle().await;
    answer(&mut handle, "coffee").await;
    settle().await;
    assert_eq!(service.oneshot(ask("b", 2)).await.unwrap(), "coffee", "it was stored for nobody in particular");
}

#[tokio::test]
async fn who_waited_for_a_dropped_callers_uncacheable_response_calls_himself() {
    let (service, mut handle) = mocked(&by_key(cache()).cacheable_if(|_: &String| false));
    let (first, second) = (start(&service, ask("a", 1)).await, start(&service, ask("a", 2)).await);
    first.abort();
    settle().await;
    answer(&mut handle, "1").await;
    assert_eq!(answer(&mut handle, "2").await.from, 2);
    assert_eq!(second.await.unwrap().unwrap(), "2");
}

#[tokio::test]
async fn requests_without_a_place_are_passed_by() {
    let cache = cache();
    let layer = by_key(cache.clone()).only_if(|ask: &Ask| ask.from != 0);
    let service = layer.layer(service_fn(|ask: Ask| ready(Ok::<_, std::io::Error>(ask.from.to_string()))));
    let long = "x".repeat(1025);
    for wanted in [ask("a", 0), ask("", 1), ask(&long, 2), ask(&long, 3)] {
        assert_eq!(service.clone().oneshot(wanted.clone()).await.unwrap(), wanted.from.to_string());
    }
    assert_eq!(cache.stats().requests, 0);
    let failing = layer.layer(service_fn(|_: Ask| ready(Err(std::fmt::Error))));
    let error = failing.oneshot(ask("", 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Load);
    assert!(error.find_source::<std::fmt::Error>().is_some());
}

#[tokio::test]
async fn a_store_that_is_down_leaves_the_inner_service_shared() {
    let down = service_fn(|_: Request| ready(Err::<Response, _>(Error::new(ErrorKind::Unavailable, "down"))));
    let cache = Cache::builder(ErasedService::new(down)).keyspace("k").format(Json).build().unwrap();
    let (service, mut handle) = mocked(&by_key(cache));
    let calls = [start(&service, ask("a", 1)).await, start(&service, ask("a", 2)).await];
    answer(&mut handle, "tea").await;
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "tea");
    }
    let again = start(&service, ask("a", 3)).await;
    assert_eq!(answer(&mut handle, "more").await.from, 3, "nothing was stored");
    assert_eq!(again.await.unwrap().unwrap(), "more");
}

#[tokio::test]
async fn a_near_hit_is_answered_at_the_first_poll() {
    let stack = Stack::over(MemoryStore::builder().build().unwrap()).near(NearConfig::new(1 << 20).unwrap()).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).ttl(MINUTE).build().unwrap();
    let (service, mut handle) = mocked(&by_key(cache));
    let first = start(&service, ask("a", 1)).await;
    answer(&mut handle, "tea").await;
    assert_eq!(first.await.unwrap().unwrap(), "tea");
    settle().await;
    handle.allow(0);
    let hit = poll_once(service.oneshot(ask("a", 2)));
    assert!(matches!(hit, Poll::Ready(Ok(text)) if text == "tea"));
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    Box::pin(future).as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn a_failed_response_gives_way_to_a_stale_value() {
    let clock = ManualClock::new();
    let cache = builder(&clock).stale_for(MINUTE * 10).soft_timeout(MINUTE).build().unwrap();
    let (service, mut handle) = mocked(&by_key(cache).failed_if(|text: &String| text == "500"));
    let first = start(&service, ask("a", 1)).await;
    answer(&mut handle, "500").await;
    assert_eq!(first.await.unwrap().unwrap(), "500", "there is nothing better yet");
    let second = start(&service, ask("a", 2)).await;
    answer(&mut handle, "tea").await;
    assert_eq!(second.await.unwrap().unwrap(), "tea");
    clock.advance(MINUTE * 2);
    let third = start(&service, ask("a", 3)).await;
    answer(&mut handle, "500").await;
    assert_eq!(third.await.unwrap().unwrap(), "tea");
    assert_eq!(service.oneshot(ask("a", 4)).await.unwrap(), "tea", "and the service has a pause");
}

#[tokio::test]
async fn lifetimes_and_tags_come_from_key_and_response() {
    let clock = ManualClock::new();
    let cache = builder(&clock).build().unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let service = {
        let runs = Arc::clone(&runs);
        let layer = MemoizeLayer::new(cache.clone(), |ask: &Ask| {
            MemoKey::new(ask.key.clone()).tags([format!("from:{}", ask.from)]).ttl(MINUTE * 60)
        });
        layer
            .ttl_with(|text: &String| Duration::from_secs(text.len() as u64))
            .tags_with(|text: &String| [text.clone()])
            .layer(service_fn(move |ask: Ask| {
                runs.fetch_add(1, SeqCst);
                ready(Ok::<_, std::io::Error>(ask.key))
            }))
    };
    let call = async |expected: usize| {
        assert_eq!(service.clone().oneshot(ask("abc", 1)).await.unwrap(), "abc");
        assert_eq!(runs.load(SeqCst), expected);
    };
    call(1).await;
    clock.advance(Duration::from_millis(2_999));
    call(1).await;
    clock.advance(Duration::from_millis(1));
    call(2).await;
    cache.invalidate_tag("from:1").await.unwrap();
    call(3).await;
    cache.invalidate_tag("abc").await.unwrap();
    call(4).await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let tenanted = builder(&ManualClock::new()).build_tenanted().unwrap();
    let layer = MemoizeLayer::new(tenanted.clone(), |ask: &Ask| ask.key.clone())
        .tenant_with(|ask: &Ask| TenantId::new(ask.from.to_string()).ok().filter(|_| ask.from > 0));
    let service = layer.layer(service_fn(|ask: Ask| ready(Ok::<_, std::io::Error>(ask.from))));
    for from in [0, 1, 2, 1, 2, 0] {
        assert_eq!(service.clone().oneshot(ask("a", from)).await.unwrap(), from);
    }
    assert_eq!((tenanted.stats().loads, tenanted.stats().hits), (2, 2), "nobody's requests are passed by");
    assert_eq!(tenanted.for_tenant(&TenantId::new("2").unwrap()).get::<u32>("a").await.unwrap(), Some(2));
}

/// Answers only where it was readied; a clone has not been.
struct Strict {
    ready: bool,
    master: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, master: false }
    }
}

impl Service<Ask> for Strict {
    type Response = String;
    type Error = BoxError;
    type Future = Ready<Result<String, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        assert!(!self.master, "the stored copy is polled");
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, ask: Ask) -> Self::Future {
        assert!(self.ready, "called without being readied");
        ready(Ok(ask.key))
    }
}

#[tokio::test]
async fn a_clone_is_readied_and_the_stored_copy_never_polled() {
    let mut service = by_key(cache()).layer(Strict { ready: false, master: true });
    for key in ["a", "a", ""] {
        assert_eq!(service.ready().await.unwrap().call(ask(key, 1)).await.unwrap(), key);
    }
}

#[tokio::test]
async fn a_limit_inside_is_neither_overrun_nor_held() {
    let inner = tower::ServiceBuilder::new().concurrency_limit(1).service(service_fn(|ask: Ask| async move {
        tokio::task::yield_now().await;
        Ok::<_, std::io::Error>(ask.key)
    }));
    let service = by_key(cache()).layer(inner);
    let calls = (0..50).map(|n| service.clone().oneshot(ask(&(n % 10).to_string(), n)));
    for (n, answer) in futures_util::future::join_all(calls).await.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), (n % 10).to_string());
    }
}

/// Answers by chance: for all, for the caller only, with a failure, an error or a panic; callers leave by chance.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_nobody_hangs_and_nobody_gets_what_is_not_its_own() {
    let inner = service_fn(|ask: Ask| async move {
        for _ in 0..fastrand::u8(..8) {
            tokio::task::yield_now().await;
        }
        match fastrand::u8(..8) {
            0 => Ok(format!("pass:{}", ask.from)),
            1 => Ok(format!("fail:{}", ask.from)),
            2 => Err(std::fmt::Error),
            3 => panic!("by chance"),
            _ => Ok(format!("all:{}", ask.key)),
        }
    });
    let cache = cache();
    let layer = by_key(cache.clone())
        .cacheable_if(|text: &String| !text.starts_with("pass"))
        .failed_if(|text: &String| text.starts_with("fail"));
    let service = layer.layer(inner);
    let calls = (0..5_000_u32).map(|from| {
        let (service, cache) = (service.clone(), cache.clone());
        tokio::spawn(async move {
            let key = (from / 100).to_string();
            let call = service.oneshot(ask(&key, from));
            if from % 9 == 0 {
                drop(tokio::time::timeout(Duration::from_micros(fastrand::u64(..200)), call).await);
                return cache.remove(&key).await.map(drop).unwrap();
            }
            match call.await {
                Ok(text) if text.starts_with("all") => assert_eq!(text, format!("all:{key}")),
                Ok(text) => assert_eq!(text.split_once(':').unwrap().1, from.to_string()),
                // A passed call's panic is its caller's own: it does not come here.
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Load | ErrorKind::LoadPanicked), "{error:?}"),
            }
        })
    });
    let ends = tokio::time::timeout(MINUTE, futures_util::future::join_all(calls)).await.expect("nobody hangs");
    for error in ends.into_iter().filter_map(Result::err) {
        let panic = error.into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"by chance"));
    }
    while cache.loads_in_flight() > 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn everything_is_debug_clone_send_and_sync() {
    fn check<T: std::fmt::Debug + Clone + Send + Sync>(_: &T) {}
    let layer = by_key(cache());
    check(&layer);
    let service = layer.layer(Strict { ready: false, master: true }.clone());
    assert!(!format!("{:?}", MemoKey::new("secret")).contains("secret"));
    fn sends<T: Send>(_: &T) {}
    sends(&service);
    sends(&service.oneshot(ask("a", 1)));
}
