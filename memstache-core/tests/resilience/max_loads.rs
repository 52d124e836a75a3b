//! How many loads there may be at a time, and what becomes of one more.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use memstache_core::{
    Cache, Condition, Error, ErrorKind, HealthValue, Json, Stack,
    resilience::{BreakerConfig, BreakerState, CircuitBreaker, Resilience, ResilienceConfig},
    testing::Gate,
};
use tokio::task::JoinHandle;

use crate::kit::{Kit, kind, millis, secs, settle};

fn kit() -> Kit {
    Kit::new(ResilienceConfig::none())
}

fn bounded(kit: &Kit, loads: usize) -> Cache<Json> {
    kit.builder(kit.stack()).stale_for(secs(60)).max_loads(loads).build().unwrap()
}

async fn load(cache: &Cache<Json>, key: &str) -> memstache_core::Result<u8> {
    cache.get_or_load(key, |_| async { Ok::<_, Error>(1) }).await
}

/// Starts a load that is held.
async fn held(cache: &Cache<Json>, key: &'static str) -> (JoinHandle<memstache_core::Result<u8>>, Gate) {
    let gate = Gate::new();
    let task = {
        let (cache, gate) = (cache.clone(), gate.clone());
        tokio::spawn(async move {
            let source = move |_| async move {
                gate.pass().await;
                Ok::<_, Error>(7)
            };
            cache.get_or_load(key, source).await
        })
    };
    gate.arrived(1).await;
    (task, gate)
}

#[tokio::test(start_paused = true)]
async fn one_load_more_is_refused_at_once_and_blocks_nobody() {
    let kit = kit();
    let cache = bounded(&kit, 2);
    let (one, two) = (held(&cache, "1").await, held(&cache, "2").await);
    assert_eq!(kind(load(&cache, "3").await), ErrorKind::Overloaded);
    let loads = cache.health().part("loads").unwrap().clone();
    assert_eq!(loads.condition, Condition::Degraded);
    assert!(loads.values.contains(&("refused".into(), HealthValue::Count(1))), "{loads}");
    // Who joins a load needs no place.
    let joined = {
        let cache = cache.clone();
        tokio::spawn(async move { load(&cache, "1").await })
    };
    settle().await;
    one.1.open();
    assert_eq!((one.0.await.unwrap().unwrap(), joined.await.unwrap().unwrap()), (7, 7));
    assert_eq!(load(&cache, "3").await.unwrap(), 1, "its lease was given back");
    two.1.open();
    assert_eq!(two.0.await.unwrap().unwrap(), 7);
    settle().await;
    assert_eq!(cache.health().part("loads").unwrap().condition, Condition::Healthy);
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.load_failures, stats.errors), (3, 0, 1), "what is refused is no failed load");
    assert_eq!((kit.store.stats().leases_standing, cache.loads_in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn where_there_is_a_stale_value_it_is_served() {
    let kit = kit();
    let cache = bounded(&kit, 1);
    cache.set("old", &9_u8).ttl(secs(1)).await.unwrap();
    kit.clock.advance(secs(2));
    let (task, gate) = held(&cache, "new").await;
    let patient = cache.get_or_load("old", |_| async { Ok::<_, Error>(1_u8) }).soft_timeout(secs(1));
    assert_eq!(patient.await.unwrap(), 9);
    assert_eq!((cache.stats().stale, cache.stats().errors), (1, 0));
    gate.open();
    assert_eq!(task.await.unwrap().unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_load_and_a_refused_one_fails_all_of_its_keys() {
    let kit = kit();
    let cache = bounded(&kit, 1);
    let brings = |keys: Vec<[u8; 1]>| async move {
        Ok::<_, Error>(keys.into_iter().map(|key| (key, key[0])).collect::<Vec<_>>())
    };
    let found = cache.get_many_or_load((0..50).map(|n| [n]), brings).await.unwrap();
    assert!(found.into_iter().zip(0..).all(|(found, n)| found.unwrap() == Some(n)));
    let (task, gate) = held(&cache, "held").await;
    let found = cache.get_many_or_load((40..60).map(|n| [n]), brings).await.unwrap();
    for (found, n) in found.into_iter().zip(40..) {
        match found {
            Ok(value) => assert!(value == Some(n) && n < 50),
            Err(error) => assert!(error.kind() == ErrorKind::Overloaded && n >= 50),
        }
    }
    gate.open();
    assert_eq!(task.await.unwrap().unwrap(), 7);
    settle().await;
    assert_eq!(kit.store.stats().leases_standing, 0);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_given_up_or_panics_gives_its_place_back() {
    let kit = kit();
    let cache = bounded(&kit, 1);
    let hangs = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let load = cache.get_or_load("a", |_| pending::<Result<u8, Error>>());
            load.hard_timeout(millis(10)).await
        })
    };
    kit.pass(millis(20)).await;
    assert_eq!(kind(hangs.await.unwrap()), ErrorKind::Timeout);
    assert_eq!(kind(cache.get_or_load("b", |_| async { panics() }).await), ErrorKind::LoadPanicked);
    assert_eq!(load(&cache, "c").await.unwrap(), 1);
    // A loader that loads by the same handle finds the only place taken: an error, and no deadlock.
    let inner = cache.clone();
    let nested = cache.get_or_load("d", move |_| async move { load(&inner, "e").await }).await;
    assert_eq!(kind(nested), ErrorKind::Load);
    assert_eq!(load(&cache, "e").await.unwrap(), 1);
}

fn panics() -> Result<u8, Error> {
    panic!("on purpose")
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_asked_no_more_often_than_the_bound() {
    let breaker = CircuitBreaker::new(BreakerConfig::source()).unwrap();
    let store = memstache_core::MemoryStore::builder().build().unwrap();
    let stack = Stack::over(store.clone()).resilient(&Resilience::default()).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).source_breaker(&breaker).build().unwrap();
    let (live, most, shed) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    for n in 0..2000 {
        let (cache, live, most, shed) = (cache.clone(), Arc::clone(&live), Arc::clone(&most), Arc::clone(&shed));
        tokio::spawn(async move {
            let source = move |_| async move {
                most.fetch_max(live.fetch_add(1, SeqCst) + 1, SeqCst);
                pending::<Result<u8, Error>>().await
            };
            if kind(cache.get_or_load(format!("key {n}"), source).await) == ErrorKind::Overloaded {
                shed.fetch_add(1, SeqCst);
            }
        });
        tokio::time::sleep(millis(2)).await;
    }
    assert_eq!((most.load(SeqCst), shed.load(SeqCst)), (1024, 2000 - 1024));
    let health = cache.health();
    assert_eq!(health.part("loads").unwrap().condition, Condition::Degraded);
    assert_eq!(breaker.state(), BreakerState::Closed, "it hears of it when loads end");
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(cache.health().part("loads").unwrap().condition, Condition::Healthy);
    assert_eq!((cache.loads_in_flight(), store.stats().leases_standing), (0, 0));
}

#[test]
fn a_bound_out_of_its_limits_is_named() {
    let kit = kit();
    for loads in [0, (1 << 20) + 1] {
        let error = kit.builder(kit.stack()).max_loads(loads).build().unwrap_err().to_string();
        assert_eq!(error, format!("max_loads must be from 1 to 1048576, but {loads} was given"));
    }
}

type Ones = memstache_core::Result<Vec<(String, u8)>>;

/// Loads a one for each key.
async fn ones(
    cache: &Cache<Json>,
    keys: Vec<String>,
) -> memstache_core::Result<Vec<memstache_core::Result<Option<u8>>>> {
    let loader = |keys: Vec<String>| async move { Ones::Ok(keys.into_iter().map(|key| (key, 1)).collect()) };
    cache.get_many_or_load(keys, loader).await
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_gives_its_leases_back_together() {
    let kit = kit();
    let cache = bounded(&kit, 1);
    let _held = held(&cache, "held").await;
    let before = kit.attempts("touch");
    let answers = ones(&cache, (0..600).map(|n| n.to_string()).collect()).await.unwrap();
    assert!(answers.into_iter().all(|answer| kind(answer) == ErrorKind::Overloaded));
    settle().await;
    let calls = kit.attempts("touch") - before;
    assert!((1..=3).contains(&calls), "{calls} calls for 600 leases");
    // They are free: a handle with room loads at once.
    let other = bounded(&kit, 1);
    for key in ["0", "599"] {
        assert_eq!(load(&other, key).await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_what_a_batch_brought_may_load_at_once() {
    let kit = kit();
    let cache = bounded(&kit, 1);
    for n in 0..300 {
        let answers = ones(&cache, vec![format!("{n}-a"), format!("{n}-b")]).await.unwrap();
        assert!(answers.into_iter().all(|answer| answer.unwrap() == Some(1)), "{n}");
        assert_eq!(load(&cache, &format!("{n}-c")).await.unwrap(), 1, "{n}");
    }
}
