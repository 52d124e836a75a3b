//! What a service sees while keys cannot be had.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use memstache_core::{
    Cache, ErrorKind, Json, MemoryStore, NearConfig, OnDegraded, Space, Stack,
    testing::{ManualClock, Recorder},
};
use memstache_crypto::{BlindNames, DataKeys, FixedKeys, KeyFailure, KeyId, KeyLookup, NameKey, Seal};
use tower::Layer;

use crate::kit::{builder, keys};

/// Keys that can be out of reach.
#[derive(Clone, Debug)]
struct Vault {
    keys: FixedKeys,
    down: Arc<AtomicBool>,
}

impl Vault {
    fn or_down(&self, lookup: KeyLookup) -> KeyLookup {
        let retry_after = Some(Duration::from_secs(3));
        if self.down.load(SeqCst) { KeyLookup::Failed(KeyFailure::Unavailable { retry_after }) } else { lookup }
    }
}

impl DataKeys for Vault {
    fn sealing(&self, space: &Space) -> KeyLookup {
        self.or_down(self.keys.sealing(space))
    }

    fn opening(&self, space: &Space, id: KeyId) -> KeyLookup {
        self.or_down(self.keys.opening(space, id))
    }

    fn naming(&self, space: &Space) -> Option<Arc<NameKey>> {
        self.keys.naming(space).filter(|_| !self.down.load(SeqCst))
    }
}

struct Bed {
    vault: Vault,
    seal: Seal,
    recorder: Recorder,
    store: MemoryStore,
    clock: ManualClock,
    loads: Arc<AtomicUsize>,
}

impl Bed {
    fn new() -> Self {
        let vault = Vault { keys: keys(1), down: Arc::default() };
        let (builder, clock) = builder(vault.clone());
        let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
        let (seal, recorder, loads) = (builder.build().unwrap(), Recorder::new(), Arc::default());
        Self { vault, seal, recorder, store, clock, loads }
    }

    /// A handle; with a near cache of its own if it is asked for.
    fn cache(&self, near: bool) -> Cache<Json> {
        // The recorder stands where each attempt would be bounded: below the seal.
        let stack = Stack::over(self.store.clone()).seal(self.seal.clone()).timeout(self.recorder.clone());
        let config = NearConfig::new(1 << 20).unwrap().with_clock(self.clock.clone());
        let config = config.with_on_degraded(OnDegraded::NearOnly);
        let service = if near { stack.near(config).build() } else { stack.build() };
        let builder = Cache::builder(service).keyspace("users").format(Json).clock(self.clock.clone());
        builder.ttl(Duration::from_secs(60)).build().unwrap()
    }

    async fn load(&self, cache: &Cache<Json>) -> memstache_core::Result<String> {
        let loads = Arc::clone(&self.loads);
        let loader = move |_| {
            loads.fetch_add(1, SeqCst);
            async { Ok::<_, std::fmt::Error>("loaded".to_owned()) }
        };
        cache.get_or_load("ada", loader).await
    }

    fn vault_is_down(&self, down: bool) {
        self.vault.down.store(down, SeqCst);
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_opened_is_loaded_and_served_and_not_stored() {
    let bed = Bed::new();
    let users = bed.cache(false);
    users.set("ada", "stored").await.unwrap();
    bed.vault_is_down(true);
    bed.recorder.clear();
    assert_eq!(users.get::<String>("ada").await.unwrap(), None);
    assert_eq!(bed.load(&users).await.unwrap(), "loaded");
    bed.recorder.assert_calls("set", 0);
    assert!(bed.seal.stats().rejected_key_unavailable >= 2 && bed.seal.stats().refused_key_unavailable >= 1);
    bed.vault_is_down(false);
    assert_eq!(users.get::<String>("ada").await.unwrap().as_deref(), Some("stored"));
}

#[tokio::test]
async fn a_write_without_a_key_is_an_error_and_never_plain() {
    let bed = Bed::new();
    let users = bed.cache(true);
    bed.vault_is_down(true);
    let error = users.set("ada", "new").await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_secs(3))));
    bed.recorder.assert_calls("set", 0);
    bed.vault_is_down(false);
    assert_eq!(users.get::<String>("ada").await.unwrap(), None);
}

#[tokio::test]
async fn a_write_without_a_key_is_never_said_to_be_kept_by_the_near_cache() {
    let bed = Bed::new();
    let users = bed.cache(true);
    bed.vault_is_down(true);
    // The store is there: asked next, it would say that it has nothing, and a kept value would be gone again.
    assert_eq!(users.set("ada", "new").await.unwrap_err().kind(), ErrorKind::Unavailable);
    for answer in users.set_many([("ada", "new"), ("bob", "new")]).await.unwrap() {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(bed.load(&users).await.unwrap(), "loaded");
    assert!(users.get_entry::<String>("ada").await.unwrap().value.is_none(), "also not what was loaded");
    assert_eq!(bed.load(&users).await.unwrap(), "loaded");
    assert_eq!(bed.loads.load(SeqCst), 2);
    bed.recorder.assert_calls("set", 0);
}

#[tokio::test]
async fn near_copies_are_served_while_the_vault_is_down() {
    let bed = Bed::new();
    let users = bed.cache(true);
    users.set("ada", "stored").await.unwrap();
    assert_eq!(users.get::<String>("ada").await.unwrap().as_deref(), Some("stored"));
    bed.vault_is_down(true);
    bed.recorder.clear();
    assert_eq!(users.get::<String>("ada").await.unwrap().as_deref(), Some("stored"));
    assert_eq!(bed.load(&users).await.unwrap(), "stored");
    bed.recorder.assert_quiet();
    assert_eq!(bed.loads.load(SeqCst), 0);
}

#[tokio::test]
async fn names_without_a_key_fail_the_call_before_anything_is_sent() {
    let bed = Bed::new();
    let stack = Stack::over(bed.recorder.layer(bed.store.clone())).seal(bed.seal.clone()).build();
    let builder = Cache::builder(stack).keyspace("users").format(Json).namer(BlindNames::new(bed.vault.clone()));
    let users = builder.build().unwrap();
    bed.vault_is_down(true);
    assert_eq!(users.set("ada", "v").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(users.remove("ada").await.unwrap_err().kind(), ErrorKind::Unavailable);
    bed.recorder.assert_quiet();
    bed.vault_is_down(false);
    users.set("ada", "v").await.unwrap();
    assert_eq!(users.get::<String>("ada").await.unwrap().as_deref(), Some("v"));
}
