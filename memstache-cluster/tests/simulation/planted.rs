//! Bugs that are planted are noticed.

use memstache_cluster::Faults;

use crate::{faults::Mix, run::run};

/// In how many seeds a bug is to be noticed at the latest.
const SEEDS: u64 = 100;

/// Runs seeds until one notices the bug by an answer that says what the bug does.
fn is_caught(faults: Faults, mix: Mix) {
    let caught = (1..=SEEDS).find_map(|seed| {
        let problems = run(seed, mix, faults).problems;
        let old = problems.into_iter().find(|problem| problem.contains("was acknowledged"));
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
