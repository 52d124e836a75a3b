//! The bound of each attempt.

use std::sync::{Arc, Mutex};

use memstache_core::{
    Clock, ErrorKind, Get, Invalidate, Lifetime, NewEntry, OnMiss, Remove, Request, Scope, Set, Stack, Target, Tick,
    Touch, TouchKind,
    resilience::{ResilienceConfig, TimeoutConfig, TimeoutLayer},
    testing::Fault,
};

use crate::kit::{Kit, address, kind, millis, secs, settle, start};

fn config() -> ResilienceConfig {
    ResilienceConfig { timeout: Some(TimeoutConfig::default()), ..ResilienceConfig::none() }
}

fn set() -> Set {
    Set::one(address("a"), NewEntry::new("v", Lifetime::default()))
}

#[tokio::test]
async fn a_read_that_hangs_is_a_timeout_and_a_write_unknown() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    kit.hang();
    let requests: [(Request, _, _); 5] = [
        (Get::one(address("a")).into(), millis(250), ErrorKind::Timeout),
        (Touch::one(address("a"), TouchKind::Probe).into(), millis(250), ErrorKind::Timeout),
        (set().into(), millis(500), ErrorKind::Unknown),
        (Remove::one(address("a")).into(), millis(500), ErrorKind::Unknown),
        (Invalidate::one(Target::Space(address("a").space())).into(), millis(500), ErrorKind::Unknown),
    ];
    for (request, span, expected) in requests {
        let name = request.name();
        let call = start(&stack, request);
        kit.pass(span - millis(1)).await;
        assert!(!call.is_finished(), "{name}: too early");
        kit.pass(millis(1)).await;
        assert_eq!(kind(call.await.unwrap()), expected, "{name}");
    }
    assert_eq!(kit.resilience.snapshot().timeouts, 5);
}

#[tokio::test]
async fn what_is_answered_at_once_makes_no_timer_and_what_is_dropped_leaves_none() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    stack.dispatch(set()).await.unwrap();
    settle().await;
    // The store's own.
    let before = kit.clock.sleepers();
    stack.dispatch(set()).await.unwrap();
    settle().await;
    assert_eq!(kit.clock.sleepers(), before);
    kit.hang();
    let call = start(&stack, Get::one(address("a")));
    settle().await;
    assert_eq!(kit.clock.sleepers(), before + 1);
    call.abort();
    settle().await;
    assert_eq!(kit.clock.sleepers(), before);
}

#[tokio::test]
async fn a_leaf_is_told_until_when_a_write_may_land() {
    let kit = Kit::new(config());
    let (deadlines, start) = (Arc::new(Mutex::new(Vec::new())), kit.clock.now());
    let seen = Arc::clone(&deadlines);
    kit.faults.inject(Fault::lost().when(move |request| {
        seen.lock().unwrap().push(request.scope().deadline);
        false
    }));
    let stack = kit.stack();
    for deadline in [None, Some(start.after(secs(2))), Some(start.after(millis(100)))] {
        let scope = Scope { deadline, ..Scope::default() };
        stack.dispatch(Set { scope, ..set() }).await.unwrap();
        stack.dispatch(Get { scope, ..Get::one(address("a")) }).await.unwrap();
    }
    let after = |span| Some(start.after(millis(span)));
    let told: Vec<Option<Tick>> = deadlines.lock().unwrap().clone();
    assert_eq!(told, [after(500), None, after(500), after(2_000), after(100), after(100)]);
}

#[tokio::test]
async fn an_attempt_ends_by_the_deadline_of_its_call() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    kit.hang();
    let scope = Scope { deadline: Some(kit.clock.now().after(millis(100))), ..Scope::default() };
    let read = start(&stack, Get { scope, ..Get::one(address("a")) });
    let write = start(&stack, Set { scope, ..set() });
    kit.pass(millis(100)).await;
    assert_eq!(kind(read.await.unwrap()), ErrorKind::Timeout);
    assert_eq!(kind(write.await.unwrap()), ErrorKind::Unknown);
}

#[tokio::test]
async fn who_waits_for_a_lease_waits_as_long_as_he_wants() {
    let kit = Kit::new(config());
    let stack = kit.stack();
    let lease = Get { on_miss: OnMiss::Lease, ..Get::one(address("a")) };
    stack.dispatch(lease.clone()).await.unwrap();
    let scope = Scope { deadline: Some(kit.clock.now().after(secs(1))), ..Scope::default() };
    let waits = start(&stack, Get { on_miss: OnMiss::Wait, scope, ..lease });
    kit.pass(millis(900)).await;
    assert!(!waits.is_finished());
    kit.pass(millis(100)).await;
    assert!(waits.await.unwrap().is_ok(), "the store ends the wait");
    kit.hang();
    let scope = Scope { deadline: Some(kit.clock.now().after(secs(1))), ..Scope::default() };
    let hangs = start(&stack, Get { on_miss: OnMiss::Wait, scope, ..Get::one(address("a")) });
    kit.pass(millis(1_250)).await;
    assert_eq!(kind(hangs.await.unwrap()), ErrorKind::Timeout, "one that does not, is cut off");
}

#[test]
fn limits_of_zero_are_refused() {
    let text = |config| TimeoutLayer::new(config).unwrap_err().to_string();
    assert_eq!(text(TimeoutConfig::new(secs(0), secs(1))), "timeout read must be above zero, but zero was given");
    assert_eq!(text(TimeoutConfig::new(secs(1), secs(0))), "timeout write must be above zero, but zero was given");
}

#[tokio::test]
async fn without_limits_it_does_nothing() {
    let kit = Kit::new(ResilienceConfig::none());
    let stack = Stack::over(kit.leaf()).timeout(TimeoutLayer::off().with_clock(kit.clock.clone())).build();
    kit.hang();
    let call = start(&stack, Get::one(address("a")));
    kit.pass_by(secs(3600), secs(60)).await;
    assert!(!call.is_finished());
    kit.faults.heal();
    assert!(call.await.unwrap().is_ok());
}
