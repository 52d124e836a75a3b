//! Values of two tenants, exchanged by somebody who can write to the store.

use std::io;

use memstache_core::{
    Address, Cache, ErasedService, Get, Json, Lifetime, Lookup, NewEntry, Operation, Outcome, Reason, Set,
};

use crate::{
    kit::{Kind, Kit, settle, tenant},
    owned::HOUR,
};

/// What the store keeps at an address, with all that it says of it.
async fn taken(store: &ErasedService, at: &Address) -> NewEntry {
    let found = Get::output(store.dispatch(Get::one(at.clone())).await.unwrap()).unwrap();
    let Ok(Lookup::Hit(entry)) = found.into_one().unwrap() else { panic!("nothing is stored there") };
    let mut new = NewEntry::new(entry.value, Lifetime::new(HOUR).unwrap());
    new.content = entry.meta.content;
    new
}

async fn put(store: &ErasedService, at: &Address, entry: NewEntry) {
    Set::output(store.dispatch(Set::one(at.clone(), entry)).await.unwrap()).unwrap().into_one().unwrap().unwrap();
}

/// Two tenants with a value each under the same name, whose blobs then change places.
async fn swapped(kit: &Kit) -> [Cache<Json>; 2] {
    let handles = ["acme", "umbrella"].map(|name| kit.tenants.for_tenant(&tenant(name)));
    for (value, cache) in (1..).zip(&handles) {
        cache.set("tea", &value).ttl(HOUR).await.unwrap();
    }
    let [one, other] = [&handles[0], &handles[1]].map(|cache| cache.address("tea").unwrap());
    let store = kit.bare();
    let (first, second) = (taken(&store, &one).await, taken(&store, &other).await);
    put(&store, &one, second).await;
    put(&store, &other, first).await;
    settle().await;
    handles
}

#[tokio::test(start_paused = true)]
async fn under_a_seal_they_are_misses_counted_and_loaded_anew() {
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.is_sealed()) {
        let kit = Kit::new(kind);
        let handles = swapped(&kit).await;
        let (mut rejected, unopened) = (0, kit.tenants.stats().rejected_unopened);
        for cache in &handles {
            assert_eq!(cache.get::<u32>("tea").await.unwrap(), None, "{kind:?}");
            assert_eq!(cache.get_arc::<u32>("tea").await.unwrap(), None, "{kind:?}");
            assert_eq!(cache.get_entry::<u32>("tea").await.unwrap().outcome, Outcome::Miss, "{kind:?}");
            let many = cache.get_many::<u32>(["tea"]).await.unwrap();
            assert!(matches!(many[..], [Ok(None)]), "{kind:?}");
            rejected += 4;
            let told = cache.explain("tea").await.unwrap();
            // The naive store tells no more than that there is something.
            if kind != Kind::Sealed {
                assert_eq!((told.outcome, told.reason), (Some(Outcome::Miss), Some(Reason::Rejected)), "{kind:?}");
            }
        }
        assert_eq!(kit.tenants.stats().rejected_unopened - unopened, rejected, "{kind:?}: each is counted");
        let stats = kit.seal.stats();
        assert!(stats.rejected_tag >= rejected, "{kind:?}: its place is not where it was sealed for: {stats:?}");
        assert_eq!(stats.rejected(), stats.rejected_tag);
        for (value, cache) in (11..).zip(&handles) {
            let loaded = cache.get_or_load("tea", move |load| async move {
                assert_eq!(load.stale(), None::<&u32>);
                Ok::<_, io::Error>(value)
            });
            assert_eq!(loaded.await.unwrap(), value);
            assert_eq!(cache.get::<u32>("tea").await.unwrap(), Some(value), "{kind:?}: and stays");
        }
    }
}

/// What no layer of a cache can see: without a seal, who can write to the store decides what is read from it.
#[tokio::test(start_paused = true)]
async fn without_a_seal_nothing_protects_from_who_writes_to_the_store() {
    for kind in [Kind::Naive, Kind::Memory, Kind::Blind] {
        let kit = Kit::new(kind);
        let handles = swapped(&kit).await;
        assert_eq!(handles[0].get::<u32>("tea").await.unwrap(), Some(2), "{kind:?}");
        assert_eq!(handles[1].get::<u32>("tea").await.unwrap(), Some(1), "{kind:?}");
        assert_eq!(kit.tenants.stats().rejected_unopened, 0);
    }
}
