//! Limits of calls and of bytes.

use memstache_core::{
    ErasedService, ErrorKind, Get, GetItem, LeaseId, Lifetime, Lookup, NewEntry, OnMiss, OneOrMany, Request, Response,
    Set, Stack, Touch, TouchKind, When,
    resilience::{BulkheadLayer, LimitLayer, ResilienceConfig},
    testing::Fault,
};
use tower::limit::ConcurrencyLimitLayer;

use crate::kit::{Kit, address, found, kind, read, settle, start};

fn kit() -> Kit {
    Kit::new(ResilienceConfig::none())
}

fn limited(kit: &Kit, calls: usize) -> (ErasedService, LimitLayer) {
    let layer = LimitLayer::new(calls).unwrap();
    (Stack::over(kit.leaf()).limit(layer.clone()).build(), layer)
}

#[tokio::test]
async fn more_calls_than_the_limit_are_shed_at_once() {
    let kit = kit();
    let (stack, layer) = limited(&kit, 3);
    kit.hang();
    let calls: Vec<_> = (0..3).map(|_| start(&stack, Get::one(address("a")))).collect();
    settle().await;
    assert_eq!(kind(read(&stack, "a").await), ErrorKind::Overloaded);
    assert_eq!((layer.snapshot().taken, layer.snapshot().most, layer.snapshot().refused), (3, 3, 1));
    kit.faults.heal();
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(layer.snapshot().taken, 0);
    assert!(read(&stack, "a").await.is_ok());
}

#[tokio::test]
async fn a_caller_who_leaves_gives_its_place_back() {
    let kit = kit();
    let (stack, layer) = limited(&kit, 1);
    kit.hang();
    for _ in 0..10 {
        let call = start(&stack, Get::one(address("a")));
        settle().await;
        assert_eq!(layer.snapshot().taken, 1);
        call.abort();
        settle().await;
        assert_eq!(layer.snapshot().taken, 0);
    }
    kit.faults.heal();
    assert!(read(&stack, "a").await.is_ok());
}

#[tokio::test]
async fn who_waits_for_a_stack_that_is_not_ready_counts_too() {
    let kit = kit();
    let layer = LimitLayer::new(2).unwrap();
    let leaf = tower::Layer::layer(&ConcurrencyLimitLayer::new(1), kit.leaf());
    let stack = Stack::over(leaf).limit(layer.clone()).build();
    kit.hang();
    let (first, second) = (start(&stack, Get::one(address("a"))), start(&stack, Get::one(address("a"))));
    settle().await;
    assert_eq!((kit.faults.hanging(), layer.snapshot().taken), (1, 2));
    assert_eq!(kind(read(&stack, "a").await), ErrorKind::Overloaded);
    second.abort();
    settle().await;
    assert_eq!(layer.snapshot().taken, 1);
    kit.faults.heal();
    assert!(first.await.unwrap().is_ok());
}

fn set(bytes: usize) -> Set {
    Set::one(address("a"), NewEntry::new(vec![0; bytes], Lifetime::default()))
}

#[tokio::test]
async fn more_bytes_than_the_bulkhead_are_shed_at_once() {
    let kit = kit();
    let layer = BulkheadLayer::new(100_000).unwrap();
    let stack = Stack::over(kit.leaf()).limit(layer.clone()).build();
    kit.hang();
    let small = start(&stack, set(60_000));
    settle().await;
    let taken = layer.snapshot().taken;
    assert!((60_000..61_000).contains(&taken), "{taken}");
    assert_eq!(kind(stack.dispatch(set(60_000)).await), ErrorKind::Overloaded);
    let items: OneOrMany<GetItem> = (0..8).map(|n| address(&n.to_string()).into()).collect();
    let batch = start(&stack, Get { items, ..Get::one(address("a")) });
    settle().await;
    assert!(layer.snapshot().taken >= taken + 8 * 4096, "answers are charged before they are there");
    assert_eq!(kind(stack.dispatch(set(10_000)).await), ErrorKind::Overloaded);
    small.abort();
    settle().await;
    kit.faults.heal();
    assert!(batch.await.unwrap().is_ok());
    assert_eq!((layer.snapshot().taken, layer.snapshot().refused), (0, 2));
}

#[tokio::test]
async fn a_call_larger_than_the_bulkhead_goes_alone() {
    let kit = kit();
    let layer = BulkheadLayer::new(65_536).unwrap();
    let stack = Stack::over(kit.leaf()).limit(layer.clone()).build();
    kit.hang();
    let large = start(&stack, set(200_000));
    settle().await;
    assert_eq!(layer.snapshot().taken, 65_536);
    assert_eq!(kind(read(&stack, "a").await), ErrorKind::Overloaded);
    kit.faults.heal();
    assert!(large.await.unwrap().is_ok());
    assert!(read(&stack, "a").await.is_ok());
}

fn release() -> Touch {
    Touch::one(address("a"), TouchKind::Release(LeaseId(1)))
}

#[tokio::test]
async fn what_ends_a_load_is_never_shed_whatever_its_bytes() {
    let kit = kit();
    let (limit, bytes) = (LimitLayer::new(1).unwrap(), BulkheadLayer::new(65_536).unwrap());
    let stack = Stack::over(kit.leaf()).limit(tower_layer::Stack::new(bytes.clone(), limit.clone())).build();
    kit.faults.inject(Fault::hang().when(|request| matches!(request, Request::Get(_))));
    let held = start(&stack, Get::one(address("a")));
    settle().await;
    let mut fill = set(200_000);
    fill.items.as_mut_slice()[0].when = When::IfLease(LeaseId(1));
    assert!(stack.dispatch(fill).await.is_ok());
    assert!(stack.dispatch(release()).await.is_ok());
    assert_eq!((limit.snapshot().refused, bytes.snapshot().refused, limit.snapshot().taken), (0, 0, 1));
    assert_eq!(kind(stack.dispatch(set(10)).await), ErrorKind::Overloaded);
    let probe = Touch::one(address("a"), TouchKind::Probe);
    assert_eq!(kind(stack.dispatch(probe).await), ErrorKind::Overloaded);
    assert_eq!(limit.snapshot().refused, 2);
    kit.faults.heal();
    assert!(held.await.unwrap().is_ok());
}

#[tokio::test]
async fn what_ends_a_load_waits_for_a_stack_that_is_not_ready() {
    let kit = kit();
    let limit = LimitLayer::new(1).unwrap();
    let leaf = tower::Layer::layer(&ConcurrencyLimitLayer::new(1), kit.leaf());
    let stack = Stack::over(leaf).limit(limit.clone()).build();
    kit.hang();
    let first = start(&stack, Get::one(address("a")));
    settle().await;
    let second = start(&stack, release());
    settle().await;
    assert!(!second.is_finished());
    kit.faults.heal();
    assert!(first.await.unwrap().is_ok());
    assert!(second.await.unwrap().is_ok());
    assert_eq!((limit.snapshot().taken, limit.snapshot().refused), (0, 0));
}

#[tokio::test]
async fn reads_that_wait_for_a_load_have_a_limit_of_their_own() {
    let kit = kit();
    let (stack, layer) = limited(&kit, 1);
    let ask = |on_miss| Get { on_miss, ..Get::one(address("a")) };
    let Ok(Lookup::Leased(lease)) = found(stack.dispatch(ask(OnMiss::Lease)).await.unwrap()) else {
        panic!("nobody else asks")
    };
    let waits = start(&stack, ask(OnMiss::Wait));
    settle().await;
    assert_eq!((layer.snapshot().taken, layer.snapshot().waiting), (0, 1));
    assert!(read(&stack, "b").await.is_ok());
    assert_eq!(kind(stack.dispatch(ask(OnMiss::Wait)).await), ErrorKind::Overloaded);
    let done = stack.dispatch(Touch::one(address("a"), TouchKind::Release(lease.id))).await.unwrap();
    assert!(matches!(done, Response::Touched(touched) if matches!(touched.as_slice(), [Ok(true)])));
    assert!(matches!(found(waits.await.unwrap().unwrap()), Ok(Lookup::Leased(_))));
    assert_eq!((layer.snapshot().waiting, layer.snapshot().refused), (0, 1));
}

#[test]
fn limits_out_of_their_limits_are_named() {
    assert_eq!(LimitLayer::new(0).unwrap_err().to_string(), "limit calls must be at least 1, but 0 was given");
    let error = BulkheadLayer::new(1).unwrap_err().to_string();
    assert_eq!(error, "bulkhead bytes must be at least 65536, but 1 was given");
}
