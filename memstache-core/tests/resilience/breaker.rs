//! The breaker in a stack.

use memstache_core::{
    Error, ErrorKind, Get, GetItem, OneOrMany, Remove, Request, Stack,
    resilience::{BreakerConfig, BreakerLayer, BreakerState, CircuitBreaker, Probing, ResilienceConfig, Verdict},
    testing::{Fault, Faults, ManualClock},
};
use tower::Layer;

use crate::kit::{Kit, address, kind, millis, read, secs, settle, start};

/// A breaker and the timeout of attempts, nothing else.
fn config() -> ResilienceConfig {
    ResilienceConfig {
        breaker: Some(BreakerConfig::leaf()),
        timeout: Some(Default::default()),
        ..ResilienceConfig::none()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn state(kit: &Kit) -> BreakerState {
    kit.resilience.breaker().unwrap().state()
}

#[tokio::test]
async fn five_hanging_attempts_open_it_and_then_calls_fail_at_once() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    kit.hang();
    let calls: Vec<_> = (0..5).map(|_| start(&stack, Get::one(address("a")))).collect();
    kit.pass(millis(249)).await;
    assert_eq!(state(&kit), BreakerState::Closed);
    kit.pass(millis(1)).await;
    for call in calls {
        assert_eq!(kind(call.await.unwrap()), ErrorKind::Timeout);
    }
    assert_eq!(state(&kit), BreakerState::Open);
    let refused = read(&stack, "a").await.unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after()), (ErrorKind::Unavailable, Some(millis(250))));
    assert_eq!(kit.attempts("get"), 5, "the store was not asked");
    let snapshot = kit.resilience.snapshot();
    assert_eq!((snapshot.timeouts, snapshot.breaker.unwrap().refused), (5, 1));
}

#[tokio::test]
async fn recovery_is_noticed_without_a_request_and_while_none_is_let_through() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    kit.down();
    for _ in 0..5 {
        assert_eq!(kind(read(&stack, "a").await), ErrorKind::Unavailable);
    }
    // The first refusal sees to it that somebody probes.
    assert!(read(&stack, "a").await.is_err());
    kit.pass(secs(1)).await;
    assert_eq!(kit.attempts("get"), 5 + 4, "a probe each 250 ms");
    for _ in 0..50 {
        assert!(read(&stack, "a").await.is_err());
    }
    assert_eq!(kit.attempts("get"), 5 + 4, "and no request");
    kit.faults.heal();
    kit.pass(millis(250)).await;
    assert_eq!(state(&kit), BreakerState::Closed);
    assert!(read(&stack, "a").await.is_ok());
    settle().await;
    assert_eq!(kit.clock.sleepers(), 0, "nobody probes any more");
}

#[tokio::test]
async fn a_probe_that_hangs_is_cut_off_and_the_next_one_comes() {
    let kit = Kit::new(ResilienceConfig { timeout: None, ..config() });
    let stack = kit.stack();
    kit.down();
    for _ in 0..6 {
        assert!(read(&stack, "a").await.is_err());
    }
    kit.faults.heal();
    kit.hang();
    kit.pass(millis(250)).await;
    assert_eq!((kit.attempts("get"), state(&kit)), (6, BreakerState::HalfOpen));
    kit.pass(secs(1)).await;
    assert_eq!(state(&kit), BreakerState::Open);
    kit.faults.heal();
    kit.pass(millis(250)).await;
    assert_eq!(state(&kit), BreakerState::Closed);
}

#[tokio::test]
async fn the_prober_ends_with_the_stack() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    kit.down();
    for _ in 0..6 {
        assert!(read(&stack, "a").await.is_err());
    }
    settle().await;
    assert_eq!(kit.clock.sleepers(), 1);
    drop(stack);
    settle().await;
    assert_eq!(kit.clock.sleepers(), 0);
}

#[test]
fn without_a_runtime_a_request_is_the_probe_and_with_one_again_a_task() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    kit.down();
    let read = || {
        let call = stack.dispatch(Get::one(address("a")));
        futures_util::future::FutureExt::now_or_never(call).unwrap()
    };
    for _ in 0..6 {
        assert!(read().is_err());
    }
    assert_eq!(kit.attempts("get"), 5);
    kit.clock.advance(millis(250));
    assert!(read().is_err());
    assert_eq!(kit.attempts("get"), 6, "it was the probe");
    // A runtime that ends while its task probes leaves the next one to begin anew.
    for _ in 0..2 {
        runtime().block_on(async {
            assert!(stack.dispatch(Get::one(address("a"))).await.is_err());
            kit.pass(secs(2)).await;
        });
    }
    kit.faults.heal();
    runtime().block_on(async {
        assert!(stack.dispatch(Get::one(address("a"))).await.is_err());
        kit.pass(millis(300)).await;
    });
    assert_eq!(state(&kit), BreakerState::Closed);
}

#[tokio::test]
async fn misses_refusals_of_limits_and_rejected_values_do_not_open_it() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    for _ in 0..20 {
        assert!(read(&stack, "missing").await.is_ok());
    }
    for error in [ErrorKind::Overloaded, ErrorKind::Rejected, ErrorKind::TooLarge, ErrorKind::NotFound] {
        kit.faults.inject(Fault::after(Error::new(error, "as injected")));
        for _ in 0..20 {
            assert_eq!(kind(read(&stack, "a").await), error);
        }
        kit.faults.heal();
    }
    assert_eq!(state(&kit), BreakerState::Closed);
}

#[tokio::test]
async fn a_caller_who_leaves_says_nothing_unless_he_was_kept_waiting() {
    let kit = Kit::new(ResilienceConfig { timeout: None, ..config() });
    let stack = kit.stack();
    kit.hang();
    let get = || {
        let mut get = Get::one(address("a"));
        get.scope.deadline = Some(memstache_core::Clock::now(&kit.clock).after(millis(100)));
        get
    };
    for _ in 0..20 {
        let call = start(&stack, get());
        settle().await;
        call.abort();
        settle().await;
    }
    assert_eq!(state(&kit), BreakerState::Closed);
    for _ in 0..5 {
        let call = start(&stack, get());
        kit.pass(millis(100)).await;
        call.abort();
        settle().await;
    }
    assert_eq!(state(&kit), BreakerState::Open);
}

#[tokio::test]
async fn a_batch_is_a_failure_only_if_nothing_in_it_was_answered() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    let batch = || {
        let items: OneOrMany<GetItem> = ["a", "b"].into_iter().map(|name| address(name).into()).collect();
        Get { items, ..Get::one(address("a")) }
    };
    kit.faults.inject(Fault::lost());
    for _ in 0..4 {
        assert!(stack.dispatch(batch()).await.is_ok(), "each item has its error");
    }
    assert_eq!(kit.resilience.snapshot().breaker.unwrap().consecutive_failures, 4);
    kit.faults.heal();
    assert!(stack.dispatch(batch()).await.is_ok());
    assert_eq!(kit.resilience.snapshot().breaker.unwrap().consecutive_failures, 0);
    kit.faults.inject(Fault::lost());
    for _ in 0..5 {
        let removed = stack.dispatch(Remove::one(address("a"))).await;
        assert!(removed.is_ok());
    }
    assert_eq!(state(&kit), BreakerState::Open);
}

#[tokio::test]
async fn one_that_is_probed_by_requests_needs_no_task() {
    let config = BreakerConfig::leaf().with_probing(Probing::Requests);
    let kit = Kit::new(ResilienceConfig { breaker: Some(config), ..ResilienceConfig::none() });
    let stack = kit.stack();
    kit.down();
    for _ in 0..6 {
        assert!(read(&stack, "a").await.is_err());
    }
    settle().await;
    assert_eq!(kit.clock.sleepers(), 0);
    kit.faults.heal();
    kit.clock.advance(millis(250));
    assert!(read(&stack, "a").await.is_ok());
    assert_eq!(state(&kit), BreakerState::Closed);
}

#[tokio::test]
async fn what_a_probe_is_can_be_chosen() {
    let clock = ManualClock::new();
    let faults = Faults::new();
    let breaker = CircuitBreaker::new(BreakerConfig::leaf()).unwrap().with_clock(clock.clone());
    let kit = Kit::new(ResilienceConfig::none());
    let leaf = kit.recorder.layer(faults.layer(kit.store.clone()));
    let layer = BreakerLayer::new(breaker.clone()).with_probe(Remove::one(address("probe")));
    let stack = Stack::over(leaf).breaker(layer).build();
    faults.inject(
        Fault::before(Error::new(ErrorKind::Unavailable, "gone")).when(|request| matches!(request, Request::Get(_))),
    );
    for _ in 0..6 {
        assert!(read(&stack, "a").await.is_err());
    }
    settle().await;
    clock.advance(millis(250));
    settle().await;
    assert_eq!((kit.attempts("remove"), breaker.state()), (1, BreakerState::Closed));
}

#[tokio::test]
async fn an_application_judges_the_errors_of_its_own_calls() {
    let judge = |error: &Error| if error.kind() == ErrorKind::Load { Verdict::Ignored } else { Verdict::of(error) };
    let breaker = CircuitBreaker::new(BreakerConfig::source()).unwrap().with_judge(judge);
    for _ in 0..20 {
        let failed = async { Err::<(), _>(Error::new(ErrorKind::Load, "a bad request")) };
        assert!(breaker.run(failed).await.is_err());
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    for _ in 0..5 {
        assert!(breaker.run(async { Err::<(), _>(Error::new(ErrorKind::Io, "cut")) }).await.is_err());
    }
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test]
async fn a_busy_leaf_is_not_probed_without_end_and_one_that_refuses_the_question_is_there() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    kit.down();
    for _ in 0..6 {
        assert!(read(&stack, "a").await.is_err());
    }
    kit.faults.heal();
    kit.faults.inject(Fault::before(Error::new(ErrorKind::Overloaded, "busy")));
    kit.pass(secs(1)).await;
    let probes = kit.attempts("get") - 5;
    assert!((2..=4).contains(&probes), "{probes} probes in a second");
    kit.faults.heal();
    kit.faults.inject(Fault::before(Error::new(ErrorKind::Invalid, "no such keyspace here")));
    kit.pass(millis(500)).await;
    assert_eq!(state(&kit), BreakerState::Closed);
}
