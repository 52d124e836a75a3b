//! One tenant at fifty times its share does not cost the others their hits, and would without fairness.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../../benches/noisy/play.rs"]
mod play;

use self::play::{Case, Play};

/// The others' hit ratio once the store has settled, in points.
fn settled(case: Case) -> f64 {
    let mut play = Play::new(case, 300);
    play.run(1000, &mut |get| get());
    100.0 * play.run(2000, &mut |get| get())
}

#[test]
fn a_noisy_neighbour_costs_the_others_less_than_two_points() {
    let [quiet, elsewhere, unfair, fair] = Case::ALL.map(settled);
    assert!(quiet > 50.0, "a cache that is worth having: {quiet}");
    assert!((quiet - elsewhere).abs() < 2.0, "a store of its own is no noise: {quiet} and {elsewhere}");
    assert!(quiet - fair < 2.0, "{quiet} without noise, {fair} with it");
    assert!(quiet - unfair > 10.0, "{quiet} without noise, {unfair} with it and without fairness");
}
