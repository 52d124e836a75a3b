//! Short bursts over the limits: once they are over, everything is as before.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use memstache_core::{
    Cache, Error, ErrorKind, Json, MemoryStore, Stack, SystemClock,
    resilience::{LimitLayer, Resilience, ResilienceConfig},
    testing::{Gate, SlowLayer},
};
use tower::Layer;

use crate::kit::{Stopwatch, millis, secs, settle};

fn memory() -> MemoryStore {
    MemoryStore::builder().max_bytes(8 << 20).build().unwrap()
}

/// What the requests of one second saw.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    requests: usize,
    errors: usize,
    slowest: Duration,
}

/// Requests for keys drawn from so many.
struct Load {
    cache: Cache<Json>,
    keys: u64,
    drawn: u64,
    started: Stopwatch,
    seen: Arc<Mutex<BTreeMap<u64, Second>>>,
}

impl Load {
    fn new(config: ResilienceConfig, keys: u64) -> Self {
        let store = SlowLayer::new(SystemClock::new()).with_before(|_| millis(5)).layer(memory());
        let stack = Stack::over(store).resilient(&Resilience::new(config).unwrap()).build();
        let cache = Cache::builder(stack).keyspace("k").format(Json).ttl(secs(1)).build().unwrap();
        Self { cache, keys, drawn: 0, started: Stopwatch::start(), seen: Arc::default() }
    }

    fn ask(&mut self) {
        self.drawn = self.drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = (self.drawn >> 33) % self.keys;
        let (cache, seen, second) = (self.cache.clone(), Arc::clone(&self.seen), self.started.elapsed().as_secs());
        tokio::spawn(async move {
            let asked = Stopwatch::start();
            let source = |_| async {
                tokio::time::sleep(millis(10)).await;
                Ok::<_, Error>(1_u8)
            };
            let answer = cache.get_or_load(key.to_string(), source).await;
            let mut seen = seen.lock().unwrap();
            let second = seen.entry(second).or_default();
            second.requests += 1;
            second.errors += usize::from(answer.is_err());
            second.slowest = second.slowest.max(asked.elapsed());
        });
    }

    /// So many requests each so often, for five seconds; in the third comes a burst, so many more each time.
    async fn run(&mut self, at_once: usize, every: Duration, burst: (Duration, usize)) -> BTreeMap<u64, Second> {
        let turns = (secs(5).as_micros() / every.as_micros()) as u32;
        for turn in 0..turns {
            let at = every * turn;
            self.started.shows(at).await;
            let more = if (secs(2)..secs(2) + burst.0).contains(&at) { burst.1 } else { 0 };
            (0..at_once + more).for_each(|_| self.ask());
        }
        tokio::time::sleep(secs(35)).await;
        self.seen.lock().unwrap().clone()
    }
}

fn assert_recovered(seen: &BTreeMap<u64, Second>, cache: &Cache<Json>) {
    for (second, of) in seen.iter().filter(|(second, _)| **second != 2) {
        assert!(of.errors == 0 && of.slowest < millis(500), "in second {second}: {of:?}");
    }
    assert!(seen[&2].slowest < secs(1), "in the burst: {:?}", seen[&2]);
    let stats = cache.stats();
    assert_eq!((stats.fills_failed, stats.fills_refused), (0, 0));
    assert_eq!(stats.requests, stats.hits + stats.misses + stats.errors, "each is counted once: {stats:?}");
    assert_eq!(cache.loads_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_burst_over_a_small_limit_is_over_when_it_is_over() {
    let config = ResilienceConfig { max_calls: Some(64), breaker: None, ..ResilienceConfig::default() };
    let mut load = Load::new(config, 200);
    let seen = load.run(1, millis(2), (millis(200), 40)).await;
    assert!(seen[&2].errors > 0, "the burst is over the limit: {:?}", seen[&2]);
    assert_recovered(&seen, &load.cache);
}

#[tokio::test(start_paused = true)]
async fn a_burst_over_the_defaults_is_over_when_it_is_over() {
    let mut load = Load::new(ResilienceConfig::default(), 2000);
    let seen = load.run(2, millis(1), (millis(10), 400)).await;
    assert!(seen[&2].errors > 0, "the burst is over the limit: {:?}", seen[&2]);
    assert_recovered(&seen, &load.cache);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_load_of_another_holds_no_slot() {
    let (store, limit) = (memory(), LimitLayer::new(8).unwrap());
    let handle = || {
        let stack = Stack::over(store.clone()).limit(limit.clone()).build();
        Cache::builder(stack).keyspace("k").format(Json).build().unwrap()
    };
    let (here, there, gate) = (handle(), handle(), Gate::new());
    let load = {
        let (here, gate) = (here.clone(), gate.clone());
        tokio::spawn(async move {
            let source = move |_| async move {
                gate.pass().await;
                Ok::<_, Error>(1_u8)
            };
            here.get_or_load("a", source).await
        })
    };
    gate.arrived(1).await;
    let ask = || {
        let there = there.clone();
        tokio::spawn(async move { there.get_or_load("a", |_| async { Ok::<_, Error>(2_u8) }).await })
    };
    let waiting: Vec<_> = (0..8).map(|_| ask()).collect();
    settle().await;
    assert_eq!((limit.snapshot().taken, limit.snapshot().waiting), (0, 8));
    assert_eq!(there.get::<u8>("other").await.unwrap(), None, "an unrelated read passes");
    assert_eq!(ask().await.unwrap().unwrap_err().kind(), ErrorKind::Overloaded, "those who wait are bounded too");
    let opened = Stopwatch::start();
    gate.open();
    assert_eq!(load.await.unwrap().unwrap(), 1);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap().unwrap(), 1, "loaded once");
    }
    assert!(opened.elapsed() < millis(100), "{:?}", opened.elapsed());
    settle().await;
    assert_eq!((limit.snapshot().waiting, limit.snapshot().refused), (0, 1));
    assert_eq!((here.stats().fills_failed, there.stats().loads, store.stats().leases_standing), (0, 0, 0));
}
