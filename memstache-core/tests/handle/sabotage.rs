//! The rules are not empty: over a store that breaks one of its own, the rule that rests on it fails.

use memstache_core::testing::Sabotage::{self, *};

use crate::{
    batch_loading, context, early_refresh, invalidation,
    kit::{self, Kind, Kit},
    lifetime, loading, schema, stale, tenancy,
};

/// Runs a rule over a broken store; the rule must fail.
async fn broken(sabotage: Sabotage, rule: impl AsyncFnOnce(Kit)) {
    kit::run(Kind::Broken(sabotage), rule).await;
}

macro_rules! broken {
    ($($test:ident: $sabotage:ident, $rule:path;)*) => {
        $(#[tokio::test(start_paused = true)]
        #[should_panic]
        async fn $test() {
            broken($sabotage, $rule).await;
        })*
    };
}

broken! {
    a_forgotten_lease_on_remove: ForgetsLeaseOnRemove, invalidation::a_late_fill_after_remove_is_refused;
    a_forgotten_lease_on_set: ForgetsLeaseOnSet, invalidation::a_late_fill_after_set_is_refused;
    an_accepted_late_fill: AcceptsLateFills, invalidation::a_late_fill_after_clear_is_refused;
    a_lease_that_outlives_a_clear: IgnoresFloorsOfLeases, invalidation::a_late_fill_after_clear_is_refused;
    a_forgotten_sequence: ForgetsCapturedSequence,
        invalidation::a_late_fill_after_its_tags_invalidation_is_seen_by_nobody;
    a_join_across_an_invalidation: JoinsAcrossInvalidation,
        invalidation::a_late_fill_after_its_tags_invalidation_is_seen_by_nobody;
    ignored_tags: IgnoresTags, invalidation::a_tag_hides_what_carries_it_and_nothing_else;
    a_lease_for_everybody: GrantsToEverybody, loading::a_thousand_concurrent_callers_share_one_load;
    a_lease_that_is_not_renewed: IgnoresRenew, loading::a_loader_that_outlives_many_lease_ttls_keeps_its_lease;
    a_lost_wake_up: LosesWakeUps, loading::who_waits_at_the_store_loads_when_the_other_handles_load_fails;
    an_unreadable_value_again: IgnoresUnless, schema::a_value_of_another_schema_is_loaded_once;
    a_stale_lease_for_everybody: LeasesStaleToEverybody,
        stale::without_soft_timeout_everybody_gets_the_stale_value_while_one_refreshes;
    a_forgotten_grace: ForgetsGrace, stale::a_failed_refresh_within_the_soft_timeout_serves_stale;
    ignored_staleness: IgnoresMaxStaleness, lifetime::max_staleness_of_the_cache_cannot_be_raised_by_a_call;
    answers_in_another_order: AnswersBackwards,
        batch_loading::only_missing_keys_reach_the_loader_and_the_order_is_kept;
    absence_taken_for_a_value: TakesNegativeForValue, context::an_absent_key_is_remembered_for_the_negative_ttl;
    mixed_tenants: MixesTenants, tenancy::tenants_and_the_shared_space_have_keys_of_their_own;
    a_refresh_by_everybody: GrantsToEverybody, early_refresh::two_handles_refresh_ahead_once_by_the_stores_lease;
}
