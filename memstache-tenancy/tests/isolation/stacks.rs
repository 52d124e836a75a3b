//! Every operation, in every stack: it finds nothing of another tenant, and changes nothing.

use std::{collections::HashSet, time::Duration};

use memstache_core::testing::{self, Sabotage};

use crate::{
    kit::{Kind, Kit, settle, tenant},
    operations::{CASES, Intruder},
    owned::{NAMES, assert_lease_stands, assert_unchanged, furnish, see},
};

const SHORT: Duration = Duration::from_secs(10);

async fn every_operation_finds_nothing_and_changes_nothing(kit: Kit) {
    let kind = kit.kind;
    let acme = kit.tenants.for_tenant(&tenant("acme"));
    let held = furnish(&acme, SHORT, async || kit.pass(2 * SHORT).await).await;
    settle().await;
    let mut before = see(&acme).await;
    for (n, case) in CASES.iter().enumerate() {
        // One that has nothing yet: what it does itself it would find.
        let who = tenant(&format!("intruder-{n}"));
        let intruder = Intruder { tenants: kit.tenants.clone(), tenant: who, names: NAMES, stolen: held };
        (case.run)(intruder).await;
        settle().await;
        let after = see(&acme).await;
        assert_unchanged(&before, &after, Duration::ZERO, &format!("{} over {kind:?}", case.name));
        before = after;
    }
    assert_lease_stands(&acme, held).await;
}

over_every_stack!(kind => every_operation_finds_nothing_and_changes_nothing(Kit::new(kind)));

/// That the table finds what it is to find.
#[tokio::test(start_paused = true)]
#[should_panic(expected = "assertion `left == right` failed")]
async fn a_store_that_mixes_tenants_is_found() {
    every_operation_finds_nothing_and_changes_nothing(Kit::broken(Sabotage::MixesTenants)).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "clear_tenant over Naive changed what another tenant sees")]
async fn a_store_that_clears_every_tenant_is_found() {
    every_operation_finds_nothing_and_changes_nothing(Kit::broken(Sabotage::ClearsEveryTenant)).await;
}

/// Near caches of two processes: what one tenant does in one does not reach the other's copies in the other.
#[tokio::test(start_paused = true)]
async fn every_operation_in_another_process() {
    for kind in [Kind::Near, Kind::BlindSealedNear] {
        let kit = Kit::new(kind);
        let acme = kit.tenants.for_tenant(&tenant("acme"));
        let held = furnish(&acme, SHORT, async || kit.pass(2 * SHORT).await).await;
        settle().await;
        let before = see(&acme).await;
        for (n, case) in CASES.iter().enumerate() {
            let who = tenant(&format!("intruder-{n}"));
            (case.run)(Intruder { tenants: kit.another(), tenant: who, names: NAMES, stolen: held }).await;
        }
        settle().await;
        assert_unchanged(&before, &see(&acme).await, Duration::ZERO, "another process");
        assert_lease_stands(&acme, held).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_table_has_every_operation_and_says_what_it_sends() {
    let kit = Kit::new(Kind::Naive);
    let acme = kit.tenants.for_tenant(&tenant("acme"));
    let held = furnish(&acme, SHORT, async || kit.pass(2 * SHORT).await).await;
    let address = acme.address("tea-plain").unwrap();
    let kinds: Vec<_> = testing::samples(&address, "v").map(|request| request.name()).collect();
    for (n, case) in CASES.iter().enumerate() {
        kit.recorder.clear();
        let who = tenant(&format!("intruder-{n}"));
        (case.run)(Intruder { tenants: kit.tenants.clone(), tenant: who, names: NAMES, stolen: held }).await;
        settle().await;
        for kind in case.kinds {
            assert!(kinds.contains(kind) && kit.recorder.count(kind) > 0, "{} sent no {kind}", case.name);
        }
    }
    for kind in kinds {
        assert!(CASES.iter().any(|case| case.kinds.contains(&kind)), "{kind} has no line in the table");
    }
    let names: HashSet<_> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), CASES.len());
}
