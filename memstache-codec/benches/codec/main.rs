//! What formats and compressors cost, and what this crate adds to calling them bare.
//!
//! `cargo xtask bench --bench codec`; `--quick` for a smoke run. Interleaved, medians; ratios count, times are for
//! orientation. The marks are checked at the end.

#![allow(clippy::print_stdout, missing_docs, reason = "a bench prints its tables")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "../../tests/codec/common.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
mod common;
mod compressors;
mod formats;
mod offloading;
mod rows;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let rounds = if quick { 5 } else { 101 };
    let mut marks = formats::run(rounds);
    marks.extend(compressors::run(rounds));
    compressors::dictionary();
    offloading::run(rounds);

    println!("\n## Marks: this crate over bare calls on the same values, medians of {rounds} rounds\n");
    println!(
        "| what | bare ns | ours ns | more ns | x | mark | allocations |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
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
