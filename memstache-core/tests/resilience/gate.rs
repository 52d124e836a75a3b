//! Loads behind a gate.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use memstache_core::{
    Cache, Error, ErrorKind, Json, LoadContext, LoadGate, LoadPermit, Result, Stack, TenantId,
    resilience::ResilienceConfig,
};
use tokio::sync::Semaphore;

use crate::kit::{Kit, kind, secs, settle};

/// Lets so many loads run, and writes down for whom.
#[derive(Clone, Debug)]
struct AtOnce {
    free: Arc<Semaphore>,
    refused: Arc<AtomicUsize>,
    tenants: Arc<std::sync::Mutex<Vec<Option<String>>>>,
}

impl AtOnce {
    fn new(loads: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(loads)), refused: Arc::default(), tenants: Arc::default() }
    }

    fn free(&self) -> usize {
        self.free.available_permits()
    }
}

impl LoadGate for AtOnce {
    fn enter(&self, tenant: Option<&str>) -> Result<LoadPermit> {
        self.tenants.lock().unwrap().push(tenant.map(str::to_owned));
        let full = |_| {
            self.refused.fetch_add(1, SeqCst);
            Error::new(ErrorKind::Overloaded, "too many loads").with_retry_after(secs(1))
        };
        Arc::clone(&self.free).try_acquire_owned().map(LoadPermit::new).map_err(full)
    }
}

fn setup(loads: usize) -> (Kit, AtOnce, Cache<Json>) {
    let (kit, gate) = (Kit::new(ResilienceConfig::none()), AtOnce::new(loads));
    let stack = Stack::over(kit.leaf()).gate_loads(gate.clone()).build();
    let cache = kit.builder(stack).stale_for(secs(3600)).build().unwrap();
    (kit, gate, cache)
}

async fn load(cache: &Cache<Json>, key: &str) -> Result<u32> {
    cache.get_or_load(key, |_: LoadContext<u32>| async { Ok::<_, std::io::Error>(7) }).await
}

/// A source that answers when it is told to.
#[derive(Clone, Default)]
struct Held(Arc<tokio::sync::Notify>);

impl Held {
    fn load(&self, cache: &Cache<Json>, key: &'static str) -> tokio::task::JoinHandle<Result<u32>> {
        let (cache, held) = (cache.clone(), self.clone());
        tokio::spawn(async move {
            let loader = move |_: LoadContext<u32>| async move {
                held.0.notified().await;
                Ok::<_, std::io::Error>(7)
            };
            cache.get_or_load(key, loader).await
        })
    }

    async fn answers(&self) {
        self.0.notify_one();
        settle().await;
    }
}

#[tokio::test]
async fn a_load_holds_its_permit_to_its_end_though_everybody_leaves() {
    let (_kit, gate, cache) = setup(1);
    let source = Held::default();
    let (one, same) = (source.load(&cache, "a"), source.load(&cache, "a"));
    settle().await;
    assert_eq!((gate.free(), gate.refused.load(SeqCst)), (0, 0), "who joins a load begins none");
    let refused = load(&cache, "b").await.unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after()), (ErrorKind::Overloaded, Some(secs(1))));
    assert_eq!(gate.refused.load(SeqCst), 1);
    one.abort();
    same.abort();
    settle().await;
    assert_eq!((gate.free(), cache.loads_in_flight()), (0, 1), "it goes on");
    source.answers().await;
    assert_eq!((gate.free(), cache.loads_in_flight()), (1, 0));
    assert_eq!(load(&cache, "b").await.unwrap(), 7, "the refused load gave its lease back");
    assert_eq!(gate.free(), 1);
}

#[tokio::test]
async fn a_load_that_outlasts_its_time_gives_its_permit_back() {
    let (kit, gate, cache) = setup(1);
    let running = Held::default().load(&cache, "a");
    settle().await;
    assert_eq!(gate.free(), 0);
    kit.pass_by(secs(31), secs(1)).await;
    assert_eq!(kind(running.await.unwrap()), ErrorKind::Timeout);
    assert_eq!(gate.free(), 1);
}

#[tokio::test]
async fn a_stale_value_is_served_instead_of_a_load_that_is_refused() {
    let (kit, gate, cache) = setup(1);
    cache.set("a", &1).await.unwrap();
    kit.clock.advance(secs(61));
    let source = Held::default();
    let running = source.load(&cache, "b");
    settle().await;
    assert_eq!(load(&cache, "a").await.unwrap(), 1);
    settle().await;
    assert_eq!(gate.refused.load(SeqCst), 1);
    source.answers().await;
    assert_eq!(running.await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn without_a_store_loads_are_gated_all_the_same_and_a_panic_gives_the_permit_back() {
    let (kit, gate, cache) = setup(1);
    kit.down();
    let source = Held::default();
    let running = source.load(&cache, "a");
    settle().await;
    assert_eq!(kind(load(&cache, "b").await), ErrorKind::Overloaded);
    source.answers().await;
    assert_eq!(running.await.unwrap().unwrap(), 7);
    let panics = |_: LoadContext<u32>| async {
        assert!(std::hint::black_box(false), "on purpose");
        Ok::<u32, std::io::Error>(0)
    };
    assert_eq!(kind(cache.get_or_load("c", panics).await), ErrorKind::LoadPanicked);
    settle().await;
    assert_eq!(gate.free(), 1);
}

#[tokio::test]
async fn a_batch_is_one_load_and_tenants_are_told_apart() {
    let (kit, gate) = (Kit::new(ResilienceConfig::none()), AtOnce::new(1));
    let stack = Stack::over(kit.leaf()).gate_loads(gate.clone()).build();
    let cache = kit.builder(stack).build_tenanted().unwrap();
    let acme = cache.for_tenant(&TenantId::new("acme").unwrap());
    let all = |keys: Vec<&'static str>| async move {
        Ok::<_, std::io::Error>(keys.into_iter().map(|key| (key, 7_u32)).collect::<Vec<_>>())
    };
    let loaded = acme.get_many_or_load(["a", "b", "c"], all).await.unwrap();
    assert!(loaded.into_iter().all(|it| it.unwrap() == Some(7)));
    assert_eq!(load(&cache.shared(), "a").await.unwrap(), 7);
    assert_eq!(*gate.tenants.lock().unwrap(), [Some("acme".to_owned()), None]);

    let source = Held::default();
    let running = source.load(&cache.shared(), "x");
    settle().await;
    let refused = acme.get_many_or_load(["d", "e"], all).await.unwrap();
    assert!(refused.into_iter().all(|it| kind(it) == ErrorKind::Overloaded));
    source.answers().await;
    assert_eq!((running.await.unwrap().unwrap(), gate.free()), (7, 1));
    let loaded = acme.get_many_or_load(["d", "e"], all).await.unwrap();
    assert!(loaded.into_iter().all(|it| it.unwrap() == Some(7)), "their leases were given back");
}
