//! Callers who leave take nothing with them.

use memstache_core::{ErrorKind, testing::Fault};

use crate::kit::{Kit, for_all, kind, plan, settle, tenant};

#[tokio::test]
async fn a_dropped_call_stays_counted_and_blocks_nobody() {
    let kit = Kit::new(for_all(plan().operations_per_second(10)));
    let acme = kit.cache().for_tenant(&tenant("acme"));
    kit.faults.inject(Fault::hang());
    for _ in 0..5 {
        let handle = acme.clone();
        let call = tokio::spawn(async move { handle.get::<u32>("x").await });
        settle().await;
        call.abort();
        settle().await;
    }
    kit.faults.heal();
    assert_eq!(kit.tenants.usage(&tenant("acme")).operations, 5);
    for _ in 0..5 {
        acme.get::<u32>("x").await.unwrap();
    }
    assert_eq!(kind(acme.get::<u32>("x").await), ErrorKind::Overloaded);
}

#[tokio::test]
async fn a_call_that_was_never_polled_costs_nothing() {
    let kit = Kit::new(for_all(plan().operations_per_second(10)));
    let acme = kit.cache().for_tenant(&tenant("acme"));
    drop(acme.get::<u32>("x"));
    assert_eq!(kit.tenants.usage(&tenant("acme")).operations, 0);
    kit.recorder.assert_quiet();
}
