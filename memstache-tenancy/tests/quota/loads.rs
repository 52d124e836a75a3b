//! Loads that run at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use memstache_core::{Cache, ErrorKind, Json, LoadContext, Result};
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::kit::{Kit, for_all, kind, plan, secs, settle, tenant};

/// A source that answers as often as it is told to.
#[derive(Clone)]
struct Source {
    answers: Arc<Semaphore>,
    asked: Arc<AtomicUsize>,
}

impl Source {
    fn new() -> Self {
        Self { answers: Arc::new(Semaphore::new(0)), asked: Arc::default() }
    }

    fn load(&self, cache: &Cache<Json>, key: impl Into<String>) -> JoinHandle<Result<u32>> {
        let (cache, source, key) = (cache.clone(), self.clone(), key.into());
        tokio::spawn(async move {
            let loader = move |_: LoadContext<u32>| async move {
                source.asked.fetch_add(1, SeqCst);
                source.answers.acquire().await.unwrap().forget();
                Ok::<_, std::io::Error>(7)
            };
            cache.get_or_load(key, loader).await
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

#[tokio::test]
async fn no_more_loads_run_than_the_plan_allows_and_others_do_not_notice() {
    let kit = Kit::new(for_all(plan().loads(2)));
    let cache = kit.cache();
    let (acme, other) = (cache.for_tenant(&tenant("acme")), cache.for_tenant(&tenant("other")));
    let source = Source::new();
    let running = [source.load(&acme, "a"), source.load(&acme, "b"), source.load(&acme, "a")];
    settle().await;
    assert_eq!(kit.tenants.usage(&tenant("acme")).loads_in_flight, 2, "who joins a load begins none");
    assert_eq!(kind(source.load(&acme, "c").await.unwrap()), ErrorKind::Overloaded);
    let undisturbed = source.load(&other, "c");
    settle().await;
    assert_eq!((source.asked(), kit.tenants.usage(&tenant("other")).loads_in_flight), (3, 1));
    source.answers.add_permits(3);
    for load in running.into_iter().chain([undisturbed]) {
        assert_eq!(load.await.unwrap().unwrap(), 7);
    }
    settle().await;
    let usage = kit.tenants.usage(&tenant("acme"));
    assert_eq!((usage.loads_in_flight, usage.refused_loads, usage.operations), (0, 1, 4));
    source.answers.add_permits(1);
    assert_eq!(source.load(&acme, "c").await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn a_load_that_is_refused_says_when_one_should_have_ended() {
    let kit = Kit::new(for_all(plan().loads(2)));
    let acme = kit.cache().for_tenant(&tenant("acme"));
    let source = Source::new();
    let running = [source.load(&acme, "a"), source.load(&acme, "b")];
    settle().await;
    let refused = source.load(&acme, "c").await.unwrap().unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after()), (ErrorKind::Overloaded, None), "nothing is known yet");
    kit.clock.advance(secs(4));
    source.answers.add_permits(2);
    for load in running {
        load.await.unwrap().unwrap();
    }
    settle().await;
    let running = [source.load(&acme, "d"), source.load(&acme, "e")];
    settle().await;
    let refused = source.load(&acme, "f").await.unwrap().unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after()), (ErrorKind::Overloaded, Some(secs(2))), "of two, one in two");
    source.answers.add_permits(2);
    for load in running {
        load.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_stale_value_is_answered_instead_of_a_load_too_many() {
    let kit = Kit::new(for_all(plan().loads(1)));
    let cache = kit.near_cache().for_tenant(&tenant("acme"));
    cache.set("old", &1).await.unwrap();
    kit.clock.advance(secs(61));
    let source = Source::new();
    let running = source.load(&cache, "new");
    settle().await;
    assert_eq!(source.load(&cache, "old").await.unwrap().unwrap(), 1);
    settle().await;
    assert_eq!((source.asked(), kit.tenants.usage(&tenant("acme")).refused_loads), (1, 1));
    source.answers.add_permits(1);
    assert_eq!(running.await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn what_a_load_brings_is_stored_though_the_tenant_is_over_its_operations() {
    let kit = Kit::new(for_all(plan().operations_per_second(1)));
    let acme = kit.cache().for_tenant(&tenant("acme"));
    let source = Source::new();
    source.answers.add_permits(1);
    assert_eq!(source.load(&acme, "a").await.unwrap().unwrap(), 7);
    assert_eq!(kind(acme.get::<u32>("a").await), ErrorKind::Overloaded);
    kit.clock.advance(secs(1));
    assert_eq!(acme.get::<u32>("a").await.unwrap(), Some(7));
}
