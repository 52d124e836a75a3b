//! Tenants over one server: memstache-tenancy's table of operations, values that changed places, a copied dump.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../../../memstache-tenancy/tests/isolation/operations.rs"]
mod operations;
#[path = "../../../../../memstache-tenancy/tests/isolation/owned.rs"]
mod owned;
mod shred;
mod swapped;

use std::{collections::BTreeSet, time::Duration};

use memstache_core::{
    Cache, Json, NearConfig, Stack, StoreService, TenantId, Tenanted, Touch, TouchKind,
    testing::{Recorder, samples},
};
use memstache_crypto::{BlindNames, FixedKeys, Seal, Secret};
use memstache_redis::RedisStore;

use self::{
    operations::{CASES, Intruder},
    owned::{NAMES, NOBODYS, assert_lease_stands, assert_unchanged, furnish, see},
};
use super::kit;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// One secret for all, so that it is the place of a value, not its key, that keeps tenants apart.
fn keys() -> FixedKeys {
    FixedKeys::dangerous_one_for_all(Secret::from_bytes([7; 32]))
}

/// A store that tenants share.
async fn store() -> RedisStore {
    kit::store(kit::builder(&kit::single())).await
}

fn plain(store: &RedisStore, recorder: &Recorder) -> Cache<Json, Tenanted> {
    let stack = Stack::over(StoreService::new(store.clone())).retry(recorder.clone()).build();
    Cache::builder(stack).keyspace("products").store_timeout(kit::PATIENCE).format(Json).build_tenanted().unwrap()
}

/// Sealed, under blind names, behind a near cache.
fn guarded(store: &RedisStore, recorder: &Recorder) -> Cache<Json, Tenanted> {
    let seal = Seal::builder(keys()).build().unwrap();
    let near = NearConfig::new(1 << 20).unwrap();
    let stack = Stack::over(StoreService::new(store.clone())).retry(recorder.clone()).seal(seal).near(near).build();
    let builder = Cache::builder(stack).keyspace("products").store_timeout(kit::PATIENCE);
    builder.namer(BlindNames::new(keys())).format(Json).build_tenanted().unwrap()
}

/// Lets a short ttl end; the time is the server's.
async fn age() {
    tokio::time::sleep(2 * SHORT).await;
}

const SHORT: Duration = Duration::from_millis(100);
/// Longer than a run takes.
const RUN: Duration = Duration::from_secs(600);

/// Every operation finds nothing and changes nothing, in every kind of deployment.
macro_rules! over {
    ($($name:ident: $make:ident, $url:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            every_operation_finds_nothing_and_changes_nothing($make, $url).await;
        }
    )*};
}

over! {
    over_one_server: plain, "MEMSTACHE_REDIS_URL";
    over_one_server_guarded: guarded, "MEMSTACHE_REDIS_URL";
    over_one_server_with_tls: plain, "MEMSTACHE_REDIS_TLS_URL";
    over_sentinels_guarded: guarded, "MEMSTACHE_SENTINEL_URL";
    over_a_cluster: plain, "MEMSTACHE_REDIS_CLUSTER_URL";
    over_a_cluster_with_tls_guarded: guarded, "MEMSTACHE_REDIS_CLUSTER_TLS_URL";
}

type Make = fn(&RedisStore, &Recorder) -> Cache<Json, Tenanted>;

async fn every_operation_finds_nothing_and_changes_nothing(make: Make, url: &str) {
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    let recorder = Recorder::new();
    let tenants = make(&kit::store(kit::builder(&kit::url(url))).await, &recorder);
    let acme = tenants.for_tenant(&tenant("acme"));
    let held = furnish(&acme, SHORT, age).await;
    let seen = async || {
        let mut seen = see(&acme).await;
        // Whether a copy is held near is for the stream of changes to say, which comes when it comes.
        seen.iter_mut().for_each(|seen| seen.tiers.clear());
        seen
    };
    let mut before = seen().await;
    for (n, case) in CASES.iter().enumerate() {
        let who = tenant(&format!("intruder-{n}"));
        (case.run)(Intruder { tenants: tenants.clone(), tenant: who, names: NAMES, stolen: held }).await;
        let after = seen().await;
        assert_unchanged(&before, &after, RUN, case.name);
        before = after;
        let renew = Touch::one(acme.address("tea-leased").unwrap(), TouchKind::Renew(held.lease));
        let stands = acme.run(renew).await.unwrap().into_one().unwrap().unwrap();
        assert!(stands, "{} ended the lease of another tenant", case.name);
        kinds.extend(case.kinds);
    }
    assert_lease_stands(&acme, held).await;
    for request in samples(&acme.address("tea-plain").unwrap(), "v") {
        assert!(kinds.contains(request.name()), "{} has no line in the table", request.name());
    }
}

#[tokio::test]
async fn what_another_tenant_has_costs_the_calls_of_what_nobody_has() {
    let store = store().await;
    let held = furnish(&plain(&store, &Recorder::new()).for_tenant(&tenant("acme")), SHORT, age).await;
    for (n, case) in CASES.iter().enumerate() {
        let recorders = [Recorder::new(), Recorder::new()];
        for (who, names, recorder) in [("theirs", NAMES, &recorders[0]), ("nobodys", NOBODYS, &recorders[1])] {
            let (tenants, who) = (plain(&store, recorder), tenant(&format!("{who}-{n}")));
            (case.run)(Intruder { tenants, tenant: who, names, stolen: held }).await;
        }
        // Loads that failed give their leases back when it suits them.
        let caused = |recorder: &Recorder| {
            let mut calls: Vec<_> = recorder.calls().iter().map(|call| format!("{call:?}")).collect();
            calls.sort_unstable();
            calls
        };
        kit::until(case.name, async || caused(&recorders[0]) == caused(&recorders[1])).await;
        assert!(recorders[0].total() > 0 || case.kinds.is_empty(), "{} was recorded", case.name);
    }
}
