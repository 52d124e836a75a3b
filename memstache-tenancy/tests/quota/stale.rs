//! Over the limit of operations, reads are answered by copies.

use memstache_core::{ErrorKind, LoadContext, Outcome};
use memstache_tenancy::OverQuota;

use crate::kit::{Kit, for_all, kind, plan, secs, tenant};

fn kit() -> Kit {
    Kit::new(for_all(plan().operations_per_second(1).burst(3).over_operations(OverQuota::ServeStale)))
}

#[tokio::test]
async fn a_stale_copy_is_answered_and_what_is_not_there_is_refused_without_a_load() {
    let kit = kit();
    let acme = kit.near_cache().for_tenant(&tenant("acme"));
    acme.set("held", &1).await.unwrap();
    acme.set("below", &2).await.unwrap();
    assert_eq!(acme.get::<u32>("held").await.unwrap(), Some(1));
    // The burst comes back, and is used up without touching the copy.
    kit.clock.advance(secs(61));
    for _ in 0..3 {
        acme.exists("other").await.unwrap();
    }
    kit.recorder.clear();
    let load = |_: LoadContext<u32>| async { panic!("nothing is loaded") as std::io::Result<u32> };
    let fetched = acme.get_or_load("held", load).entry().await.unwrap();
    assert_eq!((fetched.value, fetched.outcome), (Some(1), Outcome::Stale));
    let error = acme.get_or_load("below", load).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Overloaded, Some(secs(1))));
    assert_eq!(kind(acme.set("held", &3).await), ErrorKind::Overloaded, "writes are refused");
    assert_eq!(kind(acme.read().authority().get::<u32>("held").await), ErrorKind::Overloaded, "a copy is no authority");
    assert_eq!(kind(acme.get::<u32>("held").await), ErrorKind::Overloaded, "it takes no stale value");
    assert_eq!(acme.get_entry::<u32>("held").await.unwrap().value, Some(1), "it does");
    assert!(matches!(acme.get_many::<u32>(["held"]).await.unwrap()[..], [Err(_)]));
    kit.recorder.assert_quiet();
    let usage = kit.tenants.usage(&tenant("acme"));
    assert_eq!((usage.operations, usage.refused_operations), (8, 5));
}

#[tokio::test]
async fn each_item_of_a_batch_is_judged_by_itself() {
    let kit = kit();
    let acme = kit.near_cache().for_tenant(&tenant("acme"));
    acme.set("held", &1).await.unwrap();
    assert_eq!(acme.get::<u32>("held").await.unwrap(), Some(1));
    acme.exists("x").await.unwrap();
    let found = acme.get_many::<u32>(["gone", "held"]).await.unwrap();
    let mut found = found.into_iter();
    assert_eq!(kind(found.next().unwrap()), ErrorKind::Overloaded);
    assert_eq!(found.next().unwrap().unwrap(), Some(1));
}

#[tokio::test]
async fn without_a_near_cache_the_store_answers_and_leases_nothing() {
    let kit = kit();
    let acme = kit.builder(kit.stack()).build_tenanted().unwrap().for_tenant(&tenant("acme"));
    acme.set("held", &1).await.unwrap();
    acme.exists("x").await.unwrap();
    acme.exists("x").await.unwrap();
    let load = |_: LoadContext<u32>| async { panic!("nothing is loaded") as std::io::Result<u32> };
    assert_eq!(acme.get_or_load("held", load).await.unwrap(), 1);
    assert_eq!(kind(acme.get_or_load("gone", load).await), ErrorKind::Overloaded);
    assert_eq!(kit.store.stats().leases_standing, 0);
}
