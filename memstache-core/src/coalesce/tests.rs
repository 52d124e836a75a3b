use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

#[derive(Default)]
struct Probe {
    runs: AtomicUsize,
    gate: Notify,
}

fn gated(probe: &Arc<Probe>) -> impl FnOnce() -> futures_util::future::BoxFuture<'static, usize> + Send + 'static {
    let probe = Arc::clone(probe);
    move || {
        Box::pin(async move {
            let run = probe.runs.fetch_add(1, Ordering::SeqCst) + 1;
            probe.gate.notified().await;
            run
        })
    }
}

#[tokio::test]
async fn a_thousand_callers_share_one_run_and_999_may_leave() {
    let probe = Arc::new(Probe::default());
    let coalesce = Coalesce::<&str, usize>::new();
    let mut callers: Vec<_> = (0..1000).map(|_| coalesce.run("k", gated(&probe))).collect();
    tokio::task::yield_now().await;
    let last = callers.pop().unwrap();
    drop(callers);
    probe.gate.notify_one();
    assert_eq!(last.await.unwrap(), 1);
    assert_eq!(probe.runs.load(Ordering::SeqCst), 1);
    assert!(coalesce.is_empty());
}

#[tokio::test]
async fn a_panic_is_everybodys_error_and_the_next_call_runs() {
    let coalesce = Coalesce::<u8, u8>::new();
    let first = coalesce.run(1, || async { panic!("on purpose") });
    let second = coalesce.run(1, || async { 2 });
    assert_eq!(first.await.unwrap_err().kind(), ErrorKind::LoadPanicked);
    assert_eq!(second.await.unwrap_err().kind(), ErrorKind::LoadPanicked);
    assert_eq!(coalesce.run(1, || async { 3 }).await.unwrap(), 3);
    let early = coalesce.run(1, || -> std::future::Ready<u8> { panic!("in the closure") });
    assert_eq!(early.await.unwrap_err().kind(), ErrorKind::LoadPanicked);
}

#[tokio::test]
async fn all_callers_may_leave_and_the_run_still_ends() {
    let probe = Arc::new(Probe::default());
    let coalesce = Coalesce::<u8, usize>::new();
    drop(coalesce.run(1, gated(&probe)));
    tokio::task::yield_now().await;
    assert_eq!(coalesce.len(), 1);
    probe.gate.notify_one();
    while !coalesce.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(probe.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_last_to_abandon_stops_the_run() {
    let probe = Arc::new(Probe::default());
    let coalesce = Coalesce::<u8, usize>::new();
    let (first, second) = (coalesce.run(1, gated(&probe)), coalesce.run(1, gated(&probe)));
    tokio::task::yield_now().await;
    first.abandon();
    tokio::task::yield_now().await;
    assert_eq!(coalesce.len(), 1, "somebody still waits");
    second.abandon();
    tokio::task::yield_now().await;
    assert!(coalesce.is_empty());
}

#[tokio::test]
async fn who_joins_before_an_abandoned_run_has_stopped_keeps_it_going() {
    let probe = Arc::new(Probe::default());
    let coalesce = Coalesce::<u8, usize>::new();
    let first = coalesce.run(1, gated(&probe));
    tokio::task::yield_now().await;
    first.abandon();
    let second = coalesce.run(1, gated(&probe));
    tokio::task::yield_now().await;
    probe.gate.notify_one();
    assert_eq!(second.await.unwrap(), 1);
}

#[tokio::test]
async fn a_forgotten_run_stops_when_its_last_caller_abandons_it() {
    let probe = Arc::new(Probe::default());
    let coalesce = Coalesce::<u8, usize>::new();
    let old = coalesce.run(1, gated(&probe));
    tokio::task::yield_now().await;
    coalesce.forget(&1);
    let new = coalesce.run(1, gated(&probe));
    old.abandon();
    tokio::task::yield_now().await;
    assert_eq!((Arc::strong_count(&probe), coalesce.len()), (2, 1), "the old one is gone, the new one runs");
    drop(new);
}

#[tokio::test]
async fn a_forgotten_run_serves_its_callers_and_nobody_later() {
    let probe = Arc::new(Probe::default());
    let coalesce = Coalesce::<u8, usize>::new();
    let old = coalesce.run(1, gated(&probe));
    tokio::task::yield_now().await;
    coalesce.forget(&1);
    let new = coalesce.run(1, || async { 7 });
    assert_eq!(new.await.unwrap(), 7);
    probe.gate.notify_one();
    assert_eq!(old.await.unwrap(), 1);
    assert!(coalesce.join(&1).is_none());
}

#[tokio::test]
async fn an_old_landing_does_not_free_the_new_flight() {
    let coalesce = Coalesce::<u8, u8>::new();
    let Opened::Leads(old, old_joined) = coalesce.open_as(1, 10) else { panic!("nothing was there") };
    let Opened::Leads(new, _joined) = coalesce.open_as(1, 11) else { panic!("another id is another flight") };
    assert!(matches!(coalesce.open_as(1, 11), Opened::Joined(_)));
    old.land(Ok(1));
    assert_eq!(old_joined.await.unwrap(), 1);
    assert!(coalesce.join_as(&1, 10).is_none());
    let late = coalesce.join_as(&1, 11).unwrap();
    drop(new);
    assert_eq!(late.await.unwrap_err().kind(), ErrorKind::LoadPanicked, "a runner that vanishes is an error");
    assert!(coalesce.is_empty());
}

#[test]
fn a_runtime_that_ends_leaves_no_flight() {
    let coalesce = Coalesce::<u8, u8>::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let entered = runtime.enter();
    let joined = coalesce.run(1, std::future::pending);
    drop(entered);
    drop(runtime);
    assert!(coalesce.is_empty());
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(other.block_on(joined).unwrap_err().kind(), ErrorKind::LoadPanicked);
}
