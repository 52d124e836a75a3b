use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use super::*;
use crate::testing::{Gate, ManualClock};

/// Lowers a count when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_that_fails_panics_or_hangs_fails_no_other() {
    let (clock, running) = (ManualClock::new(), Arc::new(AtomicUsize::new(0)));
    let held = Arc::clone(&running);
    let warm_up = WarmUp::new()
        .clock(clock.clone())
        .concurrency(8)
        .timeout(Duration::from_secs(5))
        .seed("good", async { Ok::<_, io::Error>(3) })
        .seed("bad", async { Err(io::Error::other("no source")) })
        .seed("panics", async { if true { panic!("oh") } else { Ok::<_, io::Error>(1) } })
        .seed("hangs", async move {
            let _held = Counted::new(&held);
            pending::<Result<usize, io::Error>>().await
        });
    assert!(format!("{warm_up:?}").contains("hangs"));
    let report = tokio::spawn(warm_up.run());
    settle().await;
    assert_eq!(running.load(SeqCst), 1);
    clock.advance(Duration::from_secs(5));
    let report = report.await.unwrap();
    settle().await;
    assert_eq!(running.load(SeqCst), 0, "it was stopped");
    let kinds: Vec<_> = report.seeders.iter().map(|it| it.outcome.as_ref().map_err(Error::kind).copied()).collect();
    assert_eq!(kinds, [Ok(3), Err(ErrorKind::Load), Err(ErrorKind::LoadPanicked), Err(ErrorKind::Timeout)]);
    assert!(report.seeders[1].outcome.as_ref().unwrap_err().find_source::<io::Error>().is_some());
    assert_eq!((report.is_complete(), report.seeded(), report.seeders[3].took), (false, 3, Duration::from_secs(5)));
}

#[tokio::test]
async fn only_so_many_run_at_a_time_and_none_begins_too_late() {
    let (clock, gate, running) = (ManualClock::new(), Gate::new(), Arc::new(AtomicUsize::new(0)));
    let mut warm_up = WarmUp::default().clock(clock.clone()).concurrency(2).timeout(Duration::from_secs(5));
    for name in 0..5 {
        let (gate, running) = (gate.clone(), Arc::clone(&running));
        warm_up = warm_up.seed(name.to_string(), async move {
            let _held = Counted::new(&running);
            gate.pass().await;
            Ok::<_, io::Error>(1)
        });
    }
    let report = tokio::spawn(warm_up.run());
    settle().await;
    assert_eq!(running.load(SeqCst), 2);
    gate.admit(1);
    settle().await;
    assert_eq!(running.load(SeqCst), 2);
    clock.advance(Duration::from_secs(5));
    let report = report.await.unwrap();
    assert_eq!(report.seeded(), 1);
    let late = report.seeders[4].outcome.as_ref().unwrap_err();
    assert_eq!(late.to_string(), "the warm-up was over before the seeder began");
}

#[tokio::test]
async fn a_warm_up_that_is_dropped_stops_its_seeders() {
    let running = Arc::new(AtomicUsize::new(0));
    let held = Arc::clone(&running);
    let warm_up = WarmUp::new().concurrency(0).seed("hangs", async move {
        let _held = Counted::new(&held);
        pending::<Result<usize, io::Error>>().await
    });
    let run = tokio::spawn(warm_up.run());
    settle().await;
    assert_eq!(running.load(SeqCst), 1, "no concurrency is one");
    run.abort();
    settle().await;
    assert_eq!(running.load(SeqCst), 0);
    assert!(WarmUp::new().run().await.is_complete(), "nothing to do is done");
}

#[tokio::test]
async fn one_that_takes_long_keeps_no_other_from_beginning() {
    let clock = ManualClock::new();
    let warm_up = WarmUp::new().clock(clock.clone()).concurrency(2).timeout(Duration::from_secs(5));
    let mut warm_up = warm_up.seed("hangs", pending::<Result<usize, io::Error>>());
    for name in 0..5 {
        warm_up = warm_up.seed(name.to_string(), async { Ok::<_, io::Error>(1) });
    }
    let report = tokio::spawn(warm_up.run());
    settle().await;
    clock.advance(Duration::from_secs(5));
    let report = report.await.unwrap();
    assert_eq!(report.seeded(), 5);
    assert_eq!(report.seeders[0].outcome.as_ref().unwrap_err().kind(), ErrorKind::Timeout, "in the order of adding");
}

#[tokio::test]
async fn counts_that_are_too_large_are_as_large_as_can_be() {
    let of = |count: usize| async move { Ok::<_, io::Error>(count) };
    let report = WarmUp::new().seed("one", of(usize::MAX)).seed("other", of(2)).run().await;
    assert_eq!((report.seeded(), report.is_complete()), (usize::MAX, true));
}
