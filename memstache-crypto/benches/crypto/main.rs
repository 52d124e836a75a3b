//! What sealing costs, and what this crate adds to a transform by hand that does nothing but call ring.
//!
//! `cargo xtask bench --bench crypto`; `--quick` for a smoke run. Interleaved, medians; ratios count, times are for
//! orientation. The marks are checked at the end.

#![allow(clippy::print_stdout, missing_docs, reason = "a bench prints its tables")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod bare;
mod keyring;
mod layer;
mod names;
mod rows;

use self::{
    bare::Bare,
    layer::Sealed,
    rows::{Mark, Row, interleave},
};

/// Bytes of the values, and how many times what bare calls take may be taken.
const SIZES: [(&str, usize, f64); 3] = [("64 B", 64, 1.3), ("1 KiB", 1_024, 1.15), ("16 KiB", 16_384, 1.15)];

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let rounds = if quick { 5 } else { 101 };
    let marks: Vec<_> = SIZES.into_iter().flat_map(|(name, len, factor)| marks(rounds, name, len, factor)).collect();
    table(rounds.div_ceil(4));
    names::run(rounds.div_ceil(4));
    keyring::run(rounds.div_ceil(4));

    println!("\n## Marks: this crate over bare ring in a transform by hand, medians of {rounds} rounds\n");
    println!("| what | bare ns | ours ns | x | mark | allocations |\n| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut missed = Vec::new();
    for mark in &marks {
        println!("{mark}");
        if !mark.holds() {
            missed.push(mark.name.clone());
        }
    }
    if !missed.is_empty() {
        println!("\nmissed: {}", missed.join(", "));
        // A smoke run is too short to judge times.
        assert!(quick, "marks were missed");
    }
}

fn marks(rounds: usize, name: &str, len: usize, factor: f64) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (policy, shared) in [("key per entry", false), ("key per writer", true)] {
        let ours = Sealed::new(len, layer::built(|builder| layer::policy(builder, shared)));
        let bare = Sealed::new(len, Bare::new(shared));
        let mut rows = [
            Row::new(|_| bare.seal()),
            Row::new(|_| ours.seal()),
            Row::new(|_| bare.open()),
            Row::new(|_| ours.open()),
        ];
        interleave(rounds, &mut rows);
        let [bare_seal, seal, bare_open, open] = rows;
        let pair = format!("seal and open {name}, {policy}");
        marks.push(Mark::of_both(pair, [&bare_seal, &bare_open], [&seal, &open], factor));
        marks.push(Mark::shown(format!("… seal {name}"), &bare_seal, &seal));
        marks.push(Mark::shown(format!("… open {name}"), &bare_open, &open));
    }
    marks
}

/// Nanoseconds and bytes of every policy.
fn table(rounds: usize) {
    println!("\n## Policies\n");
    println!("| backend | cipher | key | bytes more | 64 B | 1 KiB | 16 KiB |");
    println!("| --- | --- | --- | ---: | ---: | ---: | ---: |");
    for way in layer::ways() {
        let cells: Vec<_> = SIZES.iter().map(|(_, len, _)| cell(rounds, *len, &way)).collect();
        let more = Sealed::new(64, layer::built(way.build)).more();
        println!("| {} | {more} | {} |", way.name, cells.join(" | "));
    }
}

/// How long sealing and opening take.
fn cell(rounds: usize, len: usize, way: &layer::Way) -> String {
    let ours = Sealed::new(len, layer::built(way.build));
    let mut rows = [Row::new(|_| ours.seal()), Row::new(|_| ours.open())];
    interleave(rounds, &mut rows);
    format!("{:.0} / {:.0}", rows[0].median(), rows[1].median())
}
