//! Repetition of attempts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use memstache_core::{
    Clock, ErasedService, Error, ErrorKind, Get, GetItem, Lifetime, Lookup, NewEntry, OneOrMany, Operation, Remove,
    Request, Response, Result, Scope, Set, SetItem, Stack, When, Written,
    resilience::{ResilienceConfig, RetryConfig, RetryLayer, TimeoutConfig},
    testing::Fault,
};
use proptest::prelude::*;
use tower::Service;

use crate::kit::{Kit, address, kind, millis, read, secs, settle, start};

fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "as injected")
}

/// Retries with the longest pauses.
fn retrying(kit: &Kit, config: RetryConfig) -> (ErasedService, RetryLayer) {
    let layer = RetryLayer::new(config).unwrap().with_clock(kit.clock.clone()).with_random(|| 1.0);
    (Stack::over(kit.leaf()).retry(layer.clone()).build(), layer)
}

fn kit() -> Kit {
    Kit::new(ResilienceConfig::none())
}

fn set(when: When) -> Set {
    let entry = NewEntry::new("v", Lifetime::default());
    Set { items: OneOrMany::One(SetItem { address: address("a"), entry, when }), scope: Scope::default() }
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_four_times_with_pauses_that_double() {
    let kit = kit();
    let (stack, layer) = retrying(&kit, RetryConfig::default());
    kit.down();
    let call = start(&stack, Get::one(address("a")));
    for (attempt, pause) in [(1, 25), (2, 50), (3, 100)] {
        kit.pass(millis(pause - 1)).await;
        assert_eq!(kit.attempts("get"), attempt);
        kit.pass(millis(1)).await;
    }
    assert_eq!(kind(call.await.unwrap()), ErrorKind::Unavailable);
    assert_eq!((kit.attempts("get"), layer.snapshot().retries), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_first_answer() {
    let kit = kit();
    let (stack, _) = retrying(&kit, RetryConfig::default());
    kit.faults.inject(Fault::before(unavailable()).times(2));
    let call = start(&stack, Get::one(address("a")));
    kit.pass(millis(75)).await;
    assert!(matches!(crate::kit::found(call.await.unwrap().unwrap()), Ok(Lookup::Miss)));
    assert_eq!(kit.attempts("get"), 3);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_retryable_and_idempotent_is_repeated() {
    let kit = kit();
    let (stack, layer) = retrying(&kit, RetryConfig::default());
    kit.faults.inject(Fault::before(Error::new(ErrorKind::TooLarge, "as injected")));
    assert_eq!(kind(read(&stack, "a").await), ErrorKind::TooLarge);
    kit.faults.heal();
    kit.faults.inject(Fault::before(unavailable().with_retryable(false)));
    assert_eq!(kind(read(&stack, "a").await), ErrorKind::Unavailable);
    kit.faults.heal();
    kit.down();
    assert_eq!(kind(stack.dispatch(set(When::IfAbsent)).await), ErrorKind::Unavailable);
    assert_eq!(layer.snapshot().retries, 0);
    let call = start(&stack, set(When::Always));
    kit.pass(millis(175)).await;
    assert_eq!(kind(call.await.unwrap()), ErrorKind::Unavailable);
    assert_eq!(kit.attempts("set"), 1 + 4);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_would_outlast_the_deadline_is_not_begun() {
    let kit = kit();
    let (stack, _) = retrying(&kit, RetryConfig::default());
    kit.down();
    let scope = Scope { deadline: Some(kit.clock.now().after(millis(75))), ..Scope::default() };
    let call = start(&stack, Get { scope, ..Get::one(address("a")) });
    kit.pass(millis(25)).await;
    assert_eq!(kind(call.await.unwrap()), ErrorKind::Unavailable, "50 ms more would be too late");
    assert_eq!(kit.attempts("get"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_says_when_is_obeyed_if_that_is_soon() {
    let kit = kit();
    let layer = RetryLayer::new(RetryConfig::default()).unwrap().with_clock(kit.clock.clone()).with_random(|| 0.0);
    let stack = Stack::over(kit.leaf()).retry(layer).build();
    kit.faults.inject(Fault::before(unavailable().with_retry_after(millis(20))).times(1));
    let call = start(&stack, Get::one(address("a")));
    kit.pass(millis(19)).await;
    assert_eq!(kit.attempts("get"), 1);
    kit.pass(millis(1)).await;
    assert!(call.await.unwrap().is_ok());
    // That of an open breaker is not waited for.
    kit.faults.inject(Fault::before(unavailable().with_retry_after(millis(250))).times(1));
    assert!(read(&stack, "a").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_outage_uses_up_the_budget_and_successes_fill_it() {
    let kit = kit();
    let layer = RetryLayer::new(RetryConfig::default().with_budget(0.5, 1)).unwrap();
    let layer = layer.with_clock(kit.clock.clone()).with_random(|| 0.0);
    let stack = Stack::over(kit.leaf()).retry(layer.clone()).build();
    kit.down();
    for _ in 0..20 {
        assert!(read(&stack, "a").await.is_err());
    }
    let spent = layer.snapshot();
    assert_eq!((spent.retries, spent.exhausted), (10, 20 - 3), "one a second over ten seconds, three a call");
    kit.faults.heal();
    for _ in 0..160 {
        assert!(read(&stack, "a").await.is_ok());
    }
    kit.down();
    for _ in 0..200 {
        assert!(read(&stack, "a").await.is_err());
    }
    let paid = layer.snapshot().retries - spent.retries;
    assert!((70..=80).contains(&paid), "half of 160: {paid}");
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_only_what_failed_is_asked_again() {
    let kit = kit();
    let (stack, _) = retrying(&kit, RetryConfig::default());
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        stack.dispatch(Set::one(address(name), NewEntry::new(name, Lifetime::default()))).await.unwrap();
    }
    // A leaf in front of which items fail by name: b and d once, d twice, e for good.
    let left = Arc::new([AtomicUsize::new(1), AtomicUsize::new(2), AtomicUsize::new(usize::MAX)]);
    let flaky = Flaky { inner: kit.leaf(), left };
    let layer = RetryLayer::new(RetryConfig::default()).unwrap().with_clock(kit.clock.clone()).with_random(|| 1.0);
    let stack = Stack::over(flaky).retry(layer).build();
    kit.recorder.clear();
    let items: OneOrMany<GetItem> = names.into_iter().map(|name| address(name).into()).collect();
    let call = start(&stack, Get { items, ..Get::one(address("a")) });
    kit.pass(millis(175)).await;
    let found = Get::output(call.await.unwrap().unwrap()).unwrap();
    let texts: Vec<Result<String, ErrorKind>> = found
        .into_iter()
        .map(|found| match found {
            Ok(Lookup::Hit(entry)) => Ok(String::from_utf8(entry.value.to_vec()).unwrap()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.kind()),
        })
        .collect();
    let ok = |text: &str| Ok(text.to_owned());
    assert_eq!(texts, [ok("a"), ok("b"), ok("c"), ok("d"), Err(ErrorKind::Unavailable)]);
    kit.recorder.assert_calls("get", 4);
    kit.recorder.assert_items("get", 5 + 3 + 2 + 1);
}

/// Items `b`, `d` and `e` fail for so many calls each.
#[derive(Clone)]
struct Flaky<S> {
    inner: S,
    left: Arc<[AtomicUsize; 3]>,
}

impl<S> Service<Request> for Flaky<S>
where
    S: Service<Request, Response = Response, Error = Error, Future: Send + 'static> + Send,
{
    type Response = Response;
    type Error = Error;
    type Future = memstache_core::BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let names: Vec<Vec<u8>> = request.addresses().map(|address| address.name().to_vec()).collect();
        let (call, left) = (self.inner.call(request), Arc::clone(&self.left));
        Box::pin(async move {
            let Response::Found(mut found) = call.await? else { panic!("only reads") };
            for (name, item) in names.iter().zip(found.iter_mut()) {
                let place = [b"b", b"d", b"e"].iter().position(|flaky| flaky.as_slice() == name);
                let fails = place
                    .is_some_and(|place| left[place].fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok());
                if fails {
                    *item = Err(unavailable());
                }
            }
            Ok(Response::Found(found))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_have_happened_stays_unknown_whatever_comes_later() {
    let timeout = Some(TimeoutConfig::new(millis(10), millis(10)));
    let retry = Some(RetryConfig::default().with_retries(1));
    let kit = Kit::new(ResilienceConfig { timeout, retry, ..ResilienceConfig::none() });
    let stack = kit.stack();
    for request in [Request::from(set(When::Always)), Remove::one(address("a")).into()] {
        kit.faults.inject(Fault::hang().times(1));
        kit.down();
        let call = start(&stack, request);
        kit.pass(millis(100)).await;
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown);
        assert_eq!(error.find_source::<Error>().unwrap().kind(), ErrorKind::Unavailable);
        kit.faults.heal();
        settle().await;
    }
    // Item by item too, and not for reads.
    kit.faults.inject(Fault::lost().times(1));
    kit.down();
    let call = start(&stack, set(When::Always));
    kit.pass(millis(100)).await;
    let stored = Set::output(call.await.unwrap().unwrap()).unwrap();
    assert_eq!(kind(stored.into_one().unwrap()), ErrorKind::Unknown);
    kit.faults.heal();
    kit.faults.inject(Fault::lost().times(1));
    kit.down();
    let call = start(&stack, Get::one(address("a")));
    kit.pass(millis(100)).await;
    assert_eq!(kind(crate::kit::found(call.await.unwrap().unwrap())), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_confirmed_by_its_repetition() {
    let kit = kit();
    let (stack, _) = retrying(&kit, RetryConfig::default());
    kit.faults.inject(Fault::lost().times(1));
    let call = start(&stack, set(When::Always));
    kit.pass(millis(25)).await;
    let stored = Set::output(call.await.unwrap().unwrap()).unwrap().into_one().unwrap();
    assert!(matches!(stored, Ok(Written::Stored(_))));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_in_a_pause_leaves_no_timer() {
    let kit = kit();
    let (stack, _) = retrying(&kit, RetryConfig::default());
    kit.down();
    let call = start(&stack, Get::one(address("a")));
    settle().await;
    assert_eq!(kit.clock.sleepers(), 1);
    call.abort();
    settle().await;
    assert_eq!(kit.clock.sleepers(), 0);
}

#[test]
fn settings_out_of_their_limits_are_named() {
    let text = |config: RetryConfig| RetryLayer::new(config).unwrap_err().to_string();
    let base = RetryConfig::default();
    assert_eq!(text(base.with_retries(0)), "retry retries must be from 1 to 10, but 0 was given");
    assert_eq!(
        text(base.with_pauses(secs(2), secs(1))),
        "retry longest pause must be from the first (2s) to 60s, but 1s was given"
    );
    assert_eq!(text(base.with_pauses(secs(0), secs(1))), "retry first pause must be above zero, but zero was given");
    assert_eq!(text(base.with_budget(f64::NAN, 0)), "retry budget must be from 0 to 10, but NaN was given");
    assert_eq!(
        text(base.with_budget(0.1, 2_000_000)),
        "retry budget reserve must be at most 1000000, but 2000000 was given"
    );
}

proptest! {
    /// Full jitter: a pause is anything from nothing to what doubles with each attempt, and never past its longest.
    #[test]
    fn pauses_are_within_their_ceiling(first in 1u64..2_000, most in 1u64..60_000, random in 0.0..1.0f64) {
        let most = most.max(first);
        let runtime = tokio::runtime::Builder::new_current_thread().start_paused(true).enable_time().build().unwrap();
        let kit = kit();
        let config = RetryConfig::default().with_retries(10).with_pauses(millis(first), millis(most));
        let layer = RetryLayer::new(config).unwrap().with_clock(kit.clock.clone()).with_random(move || random);
        let stack = Stack::over(kit.leaf()).retry(layer).build();
        kit.down();
        runtime.block_on(async {
            let call = start(&stack, Get::one(address("a")));
            settle().await;
            for made in 0..10u32 {
                let ceiling = (first << made).min(most);
                let pause = (ceiling as f64 * random).ceil() as u64;
                kit.clock.advance(millis(pause + 1));
                settle().await;
                assert!(kit.attempts("get") >= made as usize + 2, "later than the ceiling");
            }
            assert!(call.await.unwrap().is_err());
            assert_eq!(kit.attempts("get"), 11);
        });
    }
}
