//! Recorders that panic: they hear no more, and nobody else notices.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use bytes::Bytes;
use memstache_core::{
    Cache, ErrorKind, Format, FormatId, Json, MemoryStore, Result, Stack,
    observe::{Ending, Event, OTHER_TENANTS, ObserveLayer, ObservedCall, Recorder, Registry, TenantUse},
};
use serde::{Serialize, de::DeserializeOwned};

/// Panics in one of its hooks, and counts how often they are called.
#[derive(Debug)]
struct Panics {
    hook: &'static str,
    told: AtomicUsize,
}

impl Panics {
    fn told(&self, hook: &str) {
        if hook == self.hook {
            self.told.fetch_add(1, SeqCst);
            panic!("on purpose");
        }
    }
}

impl Recorder for Panics {
    fn request(&self, _: Ending, _: u64) {
        self.told("request");
    }

    fn call(&self, _: &ObservedCall) {
        self.told("call");
    }

    fn event(&self, _: &Event) {
        self.told("event");
    }
}

#[tokio::test]
async fn whichever_hook_panics_every_call_is_answered_and_no_key_is_blocked() {
    for hook in ["request", "call", "event"] {
        let panics = Arc::new(Panics { hook, told: AtomicUsize::new(0) });
        let store = MemoryStore::builder().build().unwrap();
        let stack = Stack::over(store.clone()).observe(ObserveLayer::new(Arc::clone(&panics))).build();
        let recorder = Arc::clone(&panics);
        let cache = Cache::builder(stack).keyspace("k").format(Json).recorder(recorder).build().unwrap();

        for key in ["a", "b"] {
            let load = |_| async { Ok::<_, std::io::Error>(7u8) };
            assert_eq!(cache.get_or_load(key, load).await.unwrap(), 7, "{hook}");
        }
        let many = cache.get_many::<u8>(["a", "b", "c"]).await;
        let many: Vec<_> = many.unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(many, [Some(7), Some(7), None], "{hook}");
        drop(cache.get::<u8>("left before it was polled"));
        assert_eq!(panics.told.load(SeqCst), 1, "{hook}: it is told nothing more");
        let stats = cache.stats();
        assert_eq!((stats.requests, stats.hits, stats.misses), (5, 2, 3), "{hook}");
        let text = cache.health().to_string();
        assert!(text.contains("in_flight 0"), "{text}");
    }
}

/// A format whose values cannot be encoded.
#[derive(Clone)]
struct Stuck;

impl Format for Stuck {
    fn id(&self) -> FormatId {
        FormatId(FormatId::FIRST_OWN.0 + 7)
    }

    fn encode<T: Serialize + ?Sized>(&self, _: &T) -> Result<Bytes> {
        panic!("on purpose")
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        Json.decode(bytes)
    }
}

#[tokio::test]
async fn a_format_that_panics_is_told_from_a_loader_that_does() {
    let stack = Stack::over(MemoryStore::builder().build().unwrap()).build();
    let cache = Cache::builder(stack).keyspace("k").format(Stuck).build().unwrap();
    let encoded = cache.get_or_load("a", |_| async { Ok::<_, std::io::Error>(7u8) }).await.unwrap_err();
    assert_eq!(encoded.kind(), ErrorKind::LoadPanicked);
    assert_eq!(encoded.to_string(), "the format panicked while it encoded what was loaded");
    let loader = |_| async {
        if true {
            panic!("on purpose");
        }
        Ok::<_, std::io::Error>(7u8)
    };
    assert_eq!(cache.get_or_load("b", loader).await.unwrap_err().to_string(), "the loader panicked");
}

#[test]
fn who_is_asked_for_the_use_of_tenants_may_panic() {
    let registry = Registry::new();
    let recorder = registry.recorder("k").unwrap();
    recorder.request(Ending::Hit, 3);
    registry.watch_tenants(|| panic!("on purpose"));
    let text = registry.prometheus_text();
    assert!(text.contains("memstache_requests_total"), "everything else is told: {text}");
    registry.watch_tenants(|| vec![TenantUse { name: OTHER_TENANTS.into(), operations: 7, ..TenantUse::default() }]);
    assert!(registry.prometheus_text().contains("memstache_tenant_operations_total"));
}
