//! A store that hangs for ten seconds under 500 requests a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use memstache_core::{
    Clock, LoadContext, OnDegraded,
    resilience::{BreakerState, ResilienceConfig},
};

use crate::kit::{Kit, millis, secs, settle};

const KEYS: usize = 20;
const DEADLINE: Duration = millis(800);
const STEP: Duration = millis(2);

/// What the requests saw.
#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    failed: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    slowest: AtomicU64,
    loads: AtomicUsize,
}

/// A request each 2 ms for so long.
async fn requests(kit: &Kit, cache: &memstache_core::Cache<memstache_core::Json>, seen: &Arc<Seen>, span: Duration) {
    for n in 0..(span.as_millis() / STEP.as_millis()) as usize {
        let (cache, seen, clock) = (cache.clone(), Arc::clone(seen), kit.clock.clone());
        tokio::spawn(async move {
            let (start, source) = (clock.now(), Arc::clone(&seen));
            let most = seen.under_way.fetch_add(1, SeqCst) + 1;
            seen.most_under_way.fetch_max(most, SeqCst);
            let time = clock.clone();
            let load = move |_: LoadContext<u32>| async move {
                source.loads.fetch_add(1, SeqCst);
                time.sleep_until(time.now().after(millis(20))).await;
                Ok::<_, memstache_core::Error>(7)
            };
            let answer = cache.get_or_load(format!("key {}", n % KEYS), load).timeout(DEADLINE).await;
            let counter = if answer.is_ok_and(|value: u32| value == 7) { &seen.answered } else { &seen.failed };
            counter.fetch_add(1, SeqCst);
            seen.under_way.fetch_sub(1, SeqCst);
            seen.slowest.fetch_max(clock.now().since(start).as_millis() as u64, SeqCst);
        });
        kit.clock.advance(STEP);
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        let snapshot = kit.resilience.snapshot();
        assert!(snapshot.calls.taken <= 512 && snapshot.bytes.taken <= 4 << 20, "{snapshot:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_outlasts_its_deadline_the_source_sees_no_stampede_and_memory_stays_bounded() {
    let kit =
        Kit::new(ResilienceConfig { max_calls: Some(512), max_bytes: Some(4 << 20), ..ResilienceConfig::default() });
    let (stack, near) = kit.near_stack(OnDegraded::Error);
    // Short-lived, so that near hits do not hide the outage.
    let cache = kit.builder(stack).ttl(secs(2)).build().unwrap();
    let seen = Arc::new(Seen::default());

    requests(&kit, &cache, &seen, secs(1)).await;
    // The store's own.
    let timers = kit.clock.sleepers();
    let warm = seen.loads.load(SeqCst);
    assert_eq!(warm, KEYS);

    kit.hang();
    requests(&kit, &cache, &seen, secs(10)).await;
    assert_eq!(kit.resilience.breaker().unwrap().state(), BreakerState::Open);
    let loads = seen.loads.load(SeqCst) - warm;
    // What is loaded is kept for its ttl: each key is loaded each two seconds, as ever.
    assert!(loads <= KEYS * 6, "{loads} loads of {KEYS} keys in ten seconds");
    let attempts = kit.recorder.total();

    kit.faults.heal();
    kit.pass(millis(300)).await;
    assert_eq!(kit.resilience.breaker().unwrap().state(), BreakerState::Closed, "noticed off the path of requests");
    let degraded = cache.stats().loads_degraded;
    requests(&kit, &cache, &seen, secs(5)).await;
    kit.pass(secs(1)).await;
    settle().await;
    assert_eq!(cache.stats().loads_degraded, degraded, "the store is asked again");
    assert!(kit.recorder.total() > attempts);

    let slowest = Duration::from_millis(seen.slowest.load(SeqCst));
    assert!(slowest <= DEADLINE + STEP, "a request took {slowest:?}");
    assert_eq!((seen.failed.load(SeqCst), seen.answered.load(SeqCst)), (0, 8_000));
    assert_eq!(seen.under_way.load(SeqCst), 0);
    // Those of the first quarter of a second, and hardly more.
    assert!(seen.most_under_way.load(SeqCst) <= 250, "{}", seen.most_under_way.load(SeqCst));
    assert!(near.stats().bytes <= 1 << 20);
    let snapshot = kit.resilience.snapshot();
    assert_eq!((snapshot.calls.taken, snapshot.bytes.taken), (0, 0));
    assert_eq!(kit.clock.sleepers(), timers, "no timer is left behind");
}
