//! The suite over the naive store, and over naive stores that each break one rule.

use std::time::Duration;

use memstache_core::{
    ErasedService, Found, Get, Invalidate, Invalidated, Remove, Removed, Result, Set, Store, StoreService, Stored,
    Touch, Touched,
    testing::{
        ManualClock, NaiveStore, Sabotage,
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
    let store = NaiveStore::new(clock.clone());
    let report = conformance::run(&subject(&clock, &store)).await;
    report.assert_ok();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

/// Which case must find which broken rule; others may find it too.
const SABOTAGES: &[(Sabotage, &str)] = &[
    (Sabotage::ForgetsLeaseOnRemove, "removed_while_loading"),
    (Sabotage::ForgetsLeaseOnSet, "written_while_loading"),
    (Sabotage::EndsLeaseOnRefusal, "a_refused_write_leaves_the_lease"),
    (Sabotage::IgnoresTags, "a_tag_hides_what_carries_it"),
    (Sabotage::IgnoresFloors, "a_clear_hides_the_whole_space"),
    (Sabotage::IgnoresFloorsOfLeases, "space_cleared_while_loading"),
    (Sabotage::ForgetsCapturedSequence, "tag_invalidated_while_loading"),
    (Sabotage::LeaksTags, "a_tag_of_one_keyspace_hides_nothing_in_another"),
    (Sabotage::ClearsEveryTenant, "a_tenants_clear_leaves_other_tenants"),
    (Sabotage::GrantsToEverybody, "a_hundred_askers_get_one_lease"),
    (Sabotage::ForgetsWhoAsked, "who_named_its_lease_is_granted_it_again"),
    (Sabotage::LeasesStaleToEverybody, "a_stale_value_is_refreshed_by_one"),
    (Sabotage::IgnoresRenew, "a_renewed_lease_lives_on"),
    (Sabotage::NeverAgesLeases, "an_aged_out_lease_is_granted_anew"),
    (Sabotage::AcceptsLateFills, "a_fill_of_an_aged_out_lease_is_refused"),
    (Sabotage::RefusesRepeatedFills, "a_repeated_fill_is_recognised"),
    (Sabotage::JoinsAcrossInvalidation, "tag_invalidated_while_loading"),
    (Sabotage::LosesWakeUps, "a_waiter_is_told_of_a_fill"),
    (Sabotage::WakesOneWaiter, "a_waiter_is_told_of_a_fill"),
    (Sabotage::WaitsForItself, "a_batch_never_waits_for_itself"),
    (Sabotage::HoldsLeasesWhileWaiting, "two_loaders_never_wait_for_each_other"),
    (Sabotage::IgnoresUnless, "an_unreadable_version_is_loaded_by_one"),
    (Sabotage::IgnoresConditions, "if_absent_stores_only_where_nothing_is"),
    (Sabotage::RestartsVersions, "versions_rise_across_a_removal"),
    (Sabotage::AnswersBackwards, "answers_are_in_the_order_asked"),
    (Sabotage::ReturnsExpired, "a_value_lives_for_its_ttl"),
    (Sabotage::ForgetsGrace, "a_value_in_its_grace_is_stale"),
    (Sabotage::IgnoresMaxStaleness, "max_staleness_ends_the_grace"),
    (Sabotage::SlidesOnEveryRead, "a_read_with_most_of_the_window_left_extends_nothing"),
    (Sabotage::SlidesOnProbe, "a_probe_does_not_count_as_a_read"),
    (Sabotage::SlidesPastTtl, "a_sliding_value_ends_with_its_ttl"),
    (Sabotage::TakesNegativeForValue, "a_negative_record_is_told_apart"),
    (Sabotage::LosesSealedNegative, "a_sealed_negative_record_comes_with_its_bytes"),
    (Sabotage::MixesTenants, "tenants_are_apart"),
    (Sabotage::StoresUnsealed, "what_must_be_sealed_is_not_stored_bare"),
    (Sabotage::PublishesNothing, "changes_are_told_in_order"),
];

#[tokio::test(start_paused = true)]
async fn every_broken_rule_is_found_by_its_case() {
    for (sabotage, case) in SABOTAGES {
        let clock = ManualClock::new();
        let store = NaiveStore::sabotaged(clock.clone(), *sabotage);
        // What fails alone fails in the whole suite: every case works in spaces of its own.
        let report = conformance::run_case(&subject(&clock, &store), case).await;
        assert!(report.has_failed(case), "{sabotage:?} was not found by {case}\n{report}");
    }
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut cases = conformance::cases();
    let count = cases.len();
    cases.sort_unstable();
    cases.dedup();
    assert_eq!(cases.len(), count);
    assert!(SABOTAGES.iter().all(|(_, case)| cases.contains(case)));
}

/// Never answers a read, and never lets the runtime be idle.
#[derive(Clone, Debug)]
struct Spins(NaiveStore);

impl Store for Spins {
    async fn get(&self, _: Get) -> Result<Found> {
        loop {
            tokio::task::yield_now().await;
        }
    }
    async fn set(&self, op: Set) -> Result<Stored> {
        self.0.set(op).await
    }
    async fn remove(&self, op: Remove) -> Result<Removed> {
        self.0.remove(op).await
    }
    async fn touch(&self, op: Touch) -> Result<Touched> {
        self.0.touch(op).await
    }
    async fn invalidate(&self, op: Invalidate) -> Result<Invalidated> {
        self.0.invalidate(op).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_ends_fails_its_case() {
    let clock = ManualClock::new();
    let store = StoreService::new(Spins(NaiveStore::new(clock.clone())));
    let mut capabilities = Capabilities::default();
    capabilities.bound = Duration::from_millis(100);
    let subject = ManualSubject::new(clock, move || ErasedService::new(store.clone())).with_capabilities(capabilities);
    // In the case's own task, and in one that it started.
    for case in ["a_missing_key_is_a_miss", "a_hundred_askers_get_one_lease"] {
        let report = conformance::run_case(&subject, case).await;
        assert_eq!(report.failures().count(), 2, "{report}");
    }
}
