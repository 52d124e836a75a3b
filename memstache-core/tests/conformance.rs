//! The suite over the naive store, and over naive stores that each break one rule.

use std::sync::Arc;

use memstache_core::{
    ErasedService,
    testing::{
        ManualClock, NaiveStore,
        conformance::{self, Capabilities, ManualSubject},
    },
};

fn subject(clock: &ManualClock, store: &NaiveStore) -> ManualSubject {
    let mut capabilities = Capabilities::default();
    capabilities.stream_capacity = Some(NaiveStore::STREAM_CAPACITY);
    let leaf = store.clone();
    let store = store.clone();
    ManualSubject::new(clock.clone(), move || ErasedService::new(store.service()))
        .with_coherence(leaf)
        .with_capabilities(capabilities)
}

#[tokio::test(start_paused = true)]
async fn the_naive_store_keeps_every_rule() {
    let clock = ManualClock::new();
    let store = NaiveStore::new(Arc::new(clock.clone()));
    let report = conformance::run(&subject(&clock, &store)).await;
    report.assert_ok();
    assert_eq!(report.skipped().count(), 0, "{report}");
}
