//! Loads of several tenants for the same name.

use std::{
    io,
    sync::Arc,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::Duration,
};

use memstache_core::{Cache, ErrorKind, Json, LoadContext, Loaded, Outcome, testing::Gate};
use tokio::task::JoinHandle;

use crate::{
    kit::{Kind, Kit, settle, tenant},
    operations::{CASES, Intruder},
    owned::{HOUR, NAMES, furnish},
};

const NO_LEASE: memstache_core::LeaseId = memstache_core::LeaseId(u64::MAX);

/// Starts a load that ends when the gate is opened.
fn load(cache: &Cache<Json>, name: &'static str, value: u32, gate: &Gate) -> JoinHandle<memstache_core::Result<u32>> {
    let (cache, gate) = (cache.clone(), gate.clone());
    tokio::spawn(async move {
        let load = cache.get_or_load(name, move |_| async move {
            gate.pass().await;
            Ok::<_, io::Error>(value)
        });
        load.ttl(HOUR).await
    })
}

#[tokio::test(start_paused = true)]
async fn a_load_is_not_joined_by_another_tenant() {
    for kind in Kind::ALL.iter().copied() {
        let kit = Kit::new(kind);
        let gate = Gate::new();
        let handles = [
            kit.tenants.for_tenant(&tenant("acme")),
            kit.tenants.for_tenant(&tenant("umbrella")),
            kit.another().for_tenant(&tenant("initech")),
            kit.tenants.shared(),
        ];
        let loads: Vec<_> = (0..).zip(&handles).map(|(value, cache)| load(cache, "tea", value, &gate)).collect();
        gate.arrived(4).await;
        assert_eq!(kit.tenants.stats().loads_joined, 0);
        gate.open();
        for (value, load) in (0..).zip(loads) {
            assert_eq!(load.await.unwrap().unwrap(), value);
        }
        settle().await;
        for (value, cache) in (0..).zip(&handles) {
            assert_eq!(cache.get::<u32>("tea").await.unwrap(), Some(value), "{kind:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_not_joined_by_another_tenant() {
    for kind in Kind::ALL.iter().copied() {
        let kit = Kit::new(kind);
        let gate = Gate::new();
        let single = load(&kit.tenants.for_tenant(&tenant("acme")), "tea", 1, &gate);
        gate.arrived(1).await;
        let other = kit.tenants.for_tenant(&tenant("umbrella"));
        let found = other.get_many_or_load(["tea", "coffee"], |missing: Vec<&'static str>| async move {
            assert_eq!(missing, ["tea", "coffee"]);
            Ok::<_, io::Error>(missing.into_iter().map(|name| (name, 2)).collect::<Vec<_>>())
        });
        let found: Vec<Option<u32>> = found.await.unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(found, [Some(2), Some(2)], "{kind:?}: while the other's load is under way");
        gate.open();
        assert_eq!(single.await.unwrap().unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_under_way_is_ended_by_nothing_that_another_tenant_does() {
    for kind in Kind::ALL.iter().copied() {
        for case in CASES {
            let kit = Kit::new(kind);
            let acme = kit.tenants.for_tenant(&tenant("acme"));
            let gate = Gate::new();
            let loads: Vec<_> = NAMES.map(|name| load(&acme, name, 5, &gate)).into();
            gate.arrived(6).await;
            let stolen = crate::owned::Held { version: memstache_core::Version(1), lease: NO_LEASE };
            let who = tenant("umbrella");
            (case.run)(Intruder { tenants: kit.tenants.clone(), tenant: who, names: NAMES, stolen }).await;
            gate.open();
            for load in loads {
                assert_eq!(load.await.unwrap().unwrap(), 5);
            }
            settle().await;
            assert_eq!(kit.tenants.stats().fills_refused, 0, "{} over {kind:?}", case.name);
            for name in NAMES {
                let kept = acme.get::<u32>(name).await.unwrap();
                assert_eq!(kept, Some(5), "{} over {kind:?} ended a load of {name}", case.name);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_that_are_remembered_are_ones_own() {
    let kit = Kit::new(Kind::Memory);
    let stack = kit.tenants.service().clone();
    let builder = Cache::builder(stack).keyspace("products").clock(kit.clock.clone()).format(Json);
    let tenants = builder.error_backoff(Duration::from_secs(60), HOUR).build_tenanted().unwrap();
    let (acme, umbrella) = (tenants.for_tenant(&tenant("acme")), tenants.for_tenant(&tenant("umbrella")));
    let asked = Arc::new(AtomicU32::new(0));
    let fails = |asked: &Arc<AtomicU32>| {
        let asked = Arc::clone(asked);
        move |_| async move {
            asked.fetch_add(1, SeqCst);
            Err::<u32, _>(io::Error::other("no source"))
        }
    };
    for _ in 0..2 {
        let error = umbrella.get_or_load("tea", fails(&asked)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Load);
    }
    assert_eq!(asked.load(SeqCst), 1, "the error is remembered");
    let loaded = acme.get_or_load("tea", |_| async { Ok::<_, io::Error>(1) }).await;
    assert_eq!(loaded.unwrap(), 1, "for the one who met it");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_there_is_none_is_ones_own() {
    for kind in Kind::ALL.iter().copied() {
        let kit = Kit::new(kind);
        let [acme, umbrella] = ["acme", "umbrella"].map(|name| kit.tenants.for_tenant(&tenant(name)));
        let none = umbrella
            .get_or_load("tea", |_: LoadContext<u32>| async { Ok::<_, io::Error>(Loaded::<u32>::negative(HOUR)) });
        assert_eq!(none.optional().await.unwrap(), None);
        assert_eq!(acme.get_entry::<u32>("tea").await.unwrap().outcome, Outcome::Miss, "{kind:?}");
        assert_eq!(acme.get_or_load("tea", |_| async { Ok::<_, io::Error>(1) }).await.unwrap(), 1);
        assert_eq!(umbrella.get_entry::<u32>("tea").await.unwrap().outcome, Outcome::Negative);
    }
}

#[tokio::test(start_paused = true)]
async fn tags_and_clears_end_ones_own_only() {
    for kind in Kind::ALL.iter().copied() {
        let kit = Kit::new(kind);
        let [acme, umbrella] = ["acme", "umbrella"].map(|name| kit.tenants.for_tenant(&tenant(name)));
        for (value, cache) in [(1, &acme), (2, &umbrella)] {
            cache.set("tea", &value).tags(["red"]).await.unwrap();
            cache.set("coffee", &value).await.unwrap();
        }
        let seen = async |cache: &Cache<Json>| {
            settle().await;
            [cache.get::<u32>("tea").await.unwrap(), cache.get::<u32>("coffee").await.unwrap()]
        };
        acme.invalidate_tag("red").await.unwrap();
        assert_eq!((seen(&acme).await, seen(&umbrella).await), ([None, Some(1)], [Some(2); 2]), "{kind:?}");
        acme.clear().await.unwrap();
        assert_eq!((seen(&acme).await, seen(&umbrella).await), ([None; 2], [Some(2); 2]), "{kind:?}");
        kit.tenants.clear_tenant(&tenant("acme")).await.unwrap();
        kit.tenants.shared().clear().await.unwrap();
        assert_eq!(seen(&umbrella).await, [Some(2); 2], "{kind:?}");
    }
}

/// A tenant whose name is the beginning of another's, or differs in case, is another one.
#[tokio::test(start_paused = true)]
async fn names_that_are_nearly_the_same_are_other_tenants() {
    for kind in Kind::ALL.iter().copied() {
        let kit = Kit::new(kind);
        let acme = kit.tenants.for_tenant(&tenant("acme"));
        let held = furnish(&acme, Duration::from_secs(1), async || kit.pass(Duration::from_secs(2)).await).await;
        for name in ["acm", "acme.", "acme-1", "ACME", "acme_products"] {
            let who = kit.tenants.for_tenant(&tenant(name));
            for key in NAMES {
                assert_eq!(who.get::<u32>(key).await.unwrap(), None);
            }
            kit.tenants.clear_tenant(&tenant(name)).await.unwrap();
        }
        settle().await;
        assert_eq!(acme.get_entry::<u32>("tea-plain").await.unwrap().version, Some(held.version));
    }
}
