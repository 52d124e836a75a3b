//! Bugs that are planted are noticed.

use memstache_cluster::Faults;

use crate::{faults::Mix, run::run};

/// In how many seeds a bug is to be noticed at the latest.
const SEEDS: u64 = 100;

/// Runs seeds until one notices the bug by an answer that is too old.
fn is_caught(faults: Faults, mix: Mix) {
    is_caught_by(faults, mix, "was acknowledged");
}

/// Runs seeds until one notices the bug by an answer of which it says this.
fn is_caught_by(faults: Faults, mix: Mix, says: &str) {
    let caught = (1..=SEEDS).find_map(|seed| {
        let problems = run(seed, mix, faults).problems;
        let old = problems.into_iter().find(|problem| problem.contains(says));
        old.map(|problem| (seed, problem))
    });
    let (seed, problem) = caught.unwrap_or_else(|| panic!("{faults:?} is not noticed in {SEEDS} seeds"));
    println!("{faults:?} is noticed by seed {seed}: {problem}");
}

#[test]
fn an_entry_stored_after_its_delete() {
    is_caught(Faults::StoreAfterDelete, Mix::Delays);
}

#[test]
fn a_load_stored_although_its_lease_ended() {
    is_caught(Faults::IgnoreLease, Mix::Delays);
}

#[test]
fn a_read_that_joins_an_old_flight() {
    is_caught(Faults::JoinOldFlight, Mix::Delays);
}

#[test]
fn an_invalidation_that_is_dropped() {
    is_caught(Faults::DropInvalidation(20), Mix::Delays);
}

#[test]
fn a_paused_node_that_keeps_what_it_held() {
    is_caught(Faults::KeepAfterPause, Mix::Nodes);
}

#[test]
fn a_replica_that_is_not_told_of_a_delete() {
    is_caught(Faults::ForgetReplicas, Mix::Nodes);
}

#[test]
fn one_of_ten_thousand_invalidations_that_is_dropped() {
    is_caught(Faults::DropInvalidation(10_000), Mix::Delays);
}

#[test]
fn a_new_owner_that_answers_too_early() {
    is_caught(Faults::AcknowledgeEarly, Mix::Nodes);
}

#[test]
fn a_write_that_does_not_wait_for_who_was_left_out_and_does_not_know_it() {
    is_caught(Faults::NeverWaitForGone, Mix::Deaf);
}

#[test]
fn one_that_comes_back_from_a_split_and_tells_nobody() {
    is_caught(Faults::NeverTellOfSplits, Mix::Deaf);
}

/// What seals values binds them to their tenant by associated data; here it is the address that does.
#[test]
fn a_value_that_is_bound_to_its_key_and_not_to_its_tenant() {
    is_caught_by(Faults::ForgetTenant, Mix::Delays, "belongs to another tenant");
}
