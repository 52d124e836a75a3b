//! What a tenant causes by asking for what another has: what asking for nothing causes, call by call.

use std::time::Duration;

use memstache_core::{CacheStats, testing::Call};
use memstache_crypto::SealStats;

use crate::{
    kit::{Kind, Kit, settle, tenant},
    operations::{CASES, Case, Intruder},
    owned::{NAMES, NOBODYS, furnish},
};

const SHORT: Duration = Duration::from_secs(10);

/// Runs one case over a stack that another tenant uses; what it caused.
async fn caused(kind: Kind, case: &Case, names: [&'static str; 6]) -> (Vec<Call>, CacheStats, SealStats) {
    let kit = Kit::new(kind);
    let acme = kit.tenants.for_tenant(&tenant("acme"));
    let held = furnish(&acme, SHORT, async || kit.pass(2 * SHORT).await).await;
    settle().await;
    kit.recorder.clear();
    let who = tenant("umbrella");
    (case.run)(Intruder { tenants: kit.tenants.clone(), tenant: who, names, stolen: held }).await;
    settle().await;
    (kit.recorder.calls(), kit.tenants.stats(), kit.seal.stats())
}

async fn the_same_calls_as_for_what_nobody_has(kind: Kind) {
    for case in CASES {
        let (theirs, nobodys) = (caused(kind, case, NAMES).await, caused(kind, case, NOBODYS).await);
        assert_eq!(theirs, nobodys, "{} over {kind:?}", case.name);
        assert!(!theirs.0.is_empty() || case.kinds.is_empty(), "{} was recorded", case.name);
    }
}

over_every_stack!(kind => the_same_calls_as_for_what_nobody_has(kind));

/// That what is compared is not blind itself: to the tenant, what it owns is something else.
#[tokio::test(start_paused = true)]
async fn the_owner_causes_other_calls() {
    let kit = Kit::new(Kind::Naive);
    let acme = kit.tenants.for_tenant(&tenant("acme"));
    acme.set("tea-plain", &1).await.unwrap();
    kit.recorder.clear();
    acme.get::<u32>("tea-plain").await.unwrap();
    let own = kit.recorder.calls();
    kit.recorder.clear();
    acme.get::<u32>("no-01").await.unwrap();
    assert_ne!(own, kit.recorder.calls());
}
