//! What the parts of a stack say of themselves, and what becomes of it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use futures_util::stream;
use memstache_core::{
    Cache, Coherence, Condition, ErasedService, HealthValue, Invalidation, InvalidationStream, Json, MemoryStore,
    NearConfig, NearLayer, PartHealth, Request, Response, Stack, Step, StoreService, Transform,
    testing::{Gate, ManualClock, NaiveStore},
};
use tokio::sync::mpsc;
use tower::Layer as _;

use crate::kit::{secs, settle};

fn handle(stack: ErasedService, clock: &ManualClock) -> Cache<Json> {
    Cache::builder(stack).keyspace("k").clock(clock.clone()).format(Json).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn parts_come_in_the_order_of_the_stack_and_the_worst_decides() {
    let clock = ManualClock::new();
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    let near = NearConfig::new(1 << 20).unwrap().with_clock(clock.clone());
    let stack =
        Stack::over(store).watch_leaf().near(near).watch(|| PartHealth::healthy("queue").down("it is stuck")).build();
    let health = handle(stack, &clock).health();
    let parts: Vec<_> = health.parts.iter().map(|part| (part.part.as_ref(), part.condition)).collect();
    let healthy = Condition::Healthy;
    assert_eq!(parts, [("near", healthy), ("memory", healthy), ("queue", Condition::Down), ("loads", healthy)]);
    assert_eq!(health.condition, Condition::Down);
    assert!(health.part("nothing").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_part_that_panics_is_down_and_takes_no_other_with_it() {
    let clock = ManualClock::new();
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    let stack = Stack::over(store).watch_leaf().watch(|| panic!("on purpose")).build();
    let health = handle(stack, &clock).health();
    let unknown = health.part("unknown").unwrap();
    assert_eq!((unknown.condition, unknown.reason.as_deref()), (Condition::Down, Some("panicked when it was asked")));
    assert_eq!(health.part("memory").unwrap().condition, Condition::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_store_without_leases_left_is_degraded() {
    let clock = ManualClock::new();
    let store = MemoryStore::builder().max_leases(1).clock(clock.clone()).build().unwrap();
    let cache = handle(Stack::over(store).watch_leaf().build(), &clock);
    let gate = Gate::new();
    let load = tokio::spawn({
        let (cache, gate) = (cache.clone(), gate.clone());
        async move {
            cache
                .get_or_load("a", move |_| async move {
                    gate.pass().await;
                    Ok::<_, io::Error>(1u8)
                })
                .await
        }
    });
    gate.arrived(1).await;
    let health = cache.health();
    assert_eq!(health.part("memory").unwrap().condition, Condition::Degraded);
    assert_eq!(health.part("loads").unwrap().values[0], ("in_flight".into(), HealthValue::Count(1)));
    gate.open();
    assert_eq!(load.await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!(cache.health().condition, Condition::Healthy);
}

/// Tells what it is given to tell.
pub(crate) struct Told(Mutex<Option<mpsc::Receiver<Invalidation>>>);

impl Told {
    pub(crate) fn new(changes: mpsc::Receiver<Invalidation>) -> Self {
        Self(Mutex::new(Some(changes)))
    }
}

impl Coherence for Told {
    fn subscribe(&self) -> InvalidationStream {
        let changes = self.0.lock().unwrap().take().expect("subscribed to once");
        InvalidationStream::new(stream::unfold(changes, |mut changes| async { Some((changes.recv().await?, changes)) }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_near_cache_that_hears_nothing_is_degraded_since_then() {
    let clock = ManualClock::new();
    let (changes, told) = mpsc::channel(8);
    let config = NearConfig::new(1 << 20).unwrap().with_clock(clock.clone());
    let store = NaiveStore::new(clock.clone()).service();
    let near = NearLayer::new(config, Told::new(told)).layer(store);
    let view = near.view();
    let cache = handle(ErasedService::with_try_hit(near, view.clone()).watch(view), &clock);
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
    changes.send(Invalidation::Lost).await.unwrap();
    settle().await;
    clock.advance(secs(5));
    // Told again, it is no younger.
    changes.send(Invalidation::Lost).await.unwrap();
    settle().await;
    let health = cache.health();
    let part = health.part("near").unwrap();
    assert_eq!((part.condition, part.since), (Condition::Degraded, Some(secs(5))));
    changes.send(Invalidation::Restored).await.unwrap();
    settle().await;
    assert_eq!(cache.health().condition, Condition::Healthy);
}

#[tokio::test]
async fn transforms_and_stores_may_say_how_they_are() {
    /// Has a source of keys that is gone.
    #[derive(Clone)]
    struct Keyless;

    impl Transform for Keyless {
        type Pending = ();

        fn request(&self, request: Request) -> Step<(Request, ())> {
            Step::Now(Ok((request, ())))
        }

        fn response(&self, (): (), response: Response) -> Step<Response> {
            Step::Now(Ok(response))
        }

        fn health(&self) -> Option<PartHealth> {
            Some(PartHealth::healthy("seal").degraded("keys are old").since(secs(70)))
        }
    }

    let clock = ManualClock::new();
    let store = StoreService::new(NaiveStore::new(clock.clone()));
    let cache = handle(Stack::over(store).watch_leaf().seal(Keyless).build(), &clock);
    let health = cache.health();
    assert_eq!(health.part("store").unwrap().condition, Condition::Healthy, "it does not say");
    assert_eq!(health.part("seal").unwrap().reason.as_deref(), Some("keys are old"));
    let memory = StoreService::from(Arc::new(MemoryStore::builder().build().unwrap()));
    let health = handle(Stack::over(memory).watch_leaf().build(), &clock).health();
    assert!(health.part("memory").is_some());
}

#[test]
fn health_is_shown_and_serialised() {
    let part = PartHealth::healthy("redis").with("queue_bytes", 12usize).with("breaker", "open");
    let part = part.with("load", 0.5).with("tls", true).with("server", "a".to_owned());
    let health: memstache_core::HealthReport =
        [PartHealth::healthy("near"), part.down("no answer").since(secs(3))].into_iter().collect();
    assert_eq!(
        health.to_string(),
        "down\nnear: healthy\nredis: down for 3s, no answer (queue_bytes 12, breaker open, load 0.5, tls true, server a)"
    );
    let json = serde_json::to_value(&health).unwrap();
    assert_eq!(json["condition"], "down");
    let values = serde_json::json!({ "queue_bytes": 12, "breaker": "open", "load": 0.5, "tls": true, "server": "a" });
    let part = serde_json::json!({
        "part": "redis", "condition": "down", "since_ms": 3000, "reason": "no answer", "values": values,
    });
    assert_eq!(json["parts"][1], part);
    assert_eq!(memstache_core::HealthReport::default().condition, Condition::Healthy);
}
