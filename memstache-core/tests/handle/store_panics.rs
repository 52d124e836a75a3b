//! A store that panics: what is counted, and what is left behind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use memstache_core::{BoxFuture, Cache, CacheStats, ErasedService, Error, Json, Request, Response, Result};
use tokio::task::JoinHandle;
use tower::Service;

use crate::{
    counting::Tally,
    kit::{Failed, Kit, Source, ask, ask_many, rules, secs, settle},
};

/// When calls panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum When {
    Never,
    InCall,
    InPoll,
}

/// A stack whose calls panic, of one operation or of all.
#[derive(Clone)]
struct Panics {
    inner: ErasedService,
    when: Arc<AtomicU8>,
    /// `None`: all of them.
    only: Option<&'static str>,
}

impl Service<Request> for Panics {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let when = if self.only.is_none_or(|only| only == request.name()) { self.when.load(SeqCst) } else { 0 };
        assert_ne!(when, When::InCall as u8, "on purpose");
        let inner = self.inner.clone();
        Box::pin(async move {
            assert_ne!(when, When::InPoll as u8, "on purpose");
            tower::ServiceExt::oneshot(inner, request).await
        })
    }
}

/// A handle over a stack that panics once it is told to.
fn panicking(kit: &Kit, only: Option<&'static str>) -> (Cache<Json>, Arc<AtomicU8>, Arc<Tally>) {
    let (when, tally) = (Arc::<AtomicU8>::default(), Arc::new(Tally::default()));
    let stack = ErasedService::new(Panics { inner: kit.another_stack(), when: Arc::clone(&when), only });
    let cache = kit.builder_on(stack).ttl(secs(60)).recorder(Arc::clone(&tally)).build().unwrap();
    (cache, when, tally)
}

/// Asserts that a call came to nothing: by its panic, or by an error.
async fn fails<T>(call: JoinHandle<Result<T>>) {
    settle().await;
    assert!(call.is_finished(), "nobody waits for what will never come");
    assert!(!matches!(call.await, Ok(Ok(_))));
}

/// How many requests there were, and how many ended as errors.
fn counted(stats: &CacheStats) -> (u64, u64) {
    (stats.requests, stats.errors)
}

pub(crate) async fn each_key_of_a_read_is_one_error_and_no_lease_is_left(kit: Kit) {
    for when in [When::InCall, When::InPoll] {
        let (cache, switch, tally) = panicking(&kit, None);
        let source = Source::open();
        switch.store(when as u8, SeqCst);
        let (one, many) = (cache.clone(), cache.clone());
        fails(tokio::spawn(async move { one.get::<u32>("a").await })).await;
        assert_eq!(counted(&cache.stats()), (1, 1), "{when:?}");
        fails(tokio::spawn(async move { many.get_many::<u32>(["a", "b", "c"]).await })).await;
        assert_eq!(counted(&cache.stats()), (4, 4), "{when:?}");
        fails(ask(&cache, "a", source.brings(1))).await;
        assert_eq!(counted(&cache.stats()), (5, 5), "{when:?}");
        tally.assert_agrees(&cache.stats());
        assert_eq!((source.loads(), cache.loads_in_flight()), (0, 0), "{when:?}");
        switch.store(When::Never as u8, SeqCst);
        for key in ["a", "b", "c"] {
            kit.assert_no_lease(key).await;
        }
        assert_eq!(ask(&cache, "a", source.brings(7)).await.unwrap().unwrap(), 7, "all is as before");
        cache.remove("a").await.unwrap();
    }
}

pub(crate) async fn a_write_that_panics_under_a_load_leaves_no_lease(kit: Kit) {
    for when in [When::InCall, When::InPoll] {
        let (cache, switch, tally) = panicking(&kit, Some("set"));
        let source = Source::open();
        switch.store(when as u8, SeqCst);
        let one = ask(&cache, "a", source.brings(1));
        let many = ask_many(&cache, &["b", "c"], source.brings_each(|_| 2));
        settle().await;
        assert!(one.is_finished() && many.is_finished(), "{when:?}");
        drop((one.await, many.await));
        let stats = cache.stats();
        let ended = stats.hits + stats.misses + stats.errors;
        assert_eq!((stats.requests, ended, cache.loads_in_flight()), (3, 3, 0), "{when:?}: {stats:?}");
        tally.assert_agrees(&stats);
        for key in ["a", "b", "c"] {
            kit.assert_no_lease(key).await;
        }
        switch.store(When::Never as u8, SeqCst);
        let again = |_| async { Ok::<_, Failed>(7) };
        assert_eq!(cache.get_or_load("a", again).await.unwrap(), 7, "all is as before");
        cache.remove("a").await.unwrap();
    }
}

rules! {
    every stack:
    each_key_of_a_read_is_one_error_and_no_lease_is_left,
    a_write_that_panics_under_a_load_leaves_no_lease,
}
