//! What a call through a stack costs: nanoseconds and allocations, interleaved, against the bare store.
//!
//! `cargo xtask bench --bench stack`; `--quick` for a smoke run. Times are for orientation, ratios count. The marks are
//! checked at the end.

#![allow(clippy::print_stdout, missing_docs, reason = "a bench prints its table")]

#[cfg(feature = "otlp")]
mod collected;
mod decoded;
mod marks;
mod recorded;
mod refused;
mod row;
mod served;
#[path = "../../tests/allocations/support.rs"]
mod support;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (rounds, calls) = if quick { (5, 2_000) } else { (11, 200_000) };
    let mut rows = served::rows();
    rows.extend(recorded::rows());
    rows.extend(decoded::rows());
    rows.extend(refused::rows());
    #[cfg(feature = "otlp")]
    let collected = collected::Collected::start();
    #[cfg(feature = "otlp")]
    rows.extend(collected.rows());
    rows.iter_mut().for_each(|row| row.round(calls / 10));
    rows.iter_mut().for_each(row::Row::forget);
    for _ in 0..rounds {
        rows.iter_mut().for_each(|row| row.round(calls));
    }
    println!("| call | ns (median of {rounds}) | x bare | allocations |\n| --- | ---: | ---: | ---: |");
    for row in &rows {
        println!("| {} | {:.0} | {:.2} | {} |", row.name, row.nanos(), row.over(&rows[0]), row.allocations());
    }
    rows.iter().for_each(row::Row::assert_allocations);
    #[cfg(feature = "otlp")]
    collected.assert_reached();

    println!("\n## Marks, medians of the rounds' own ratios\n");
    println!("| what | measured | mark |\n| --- | ---: | ---: |");
    let mut missed = Vec::new();
    for mark in marks::of(&rows) {
        println!("{mark}");
        if !mark.holds() {
            missed.push(mark.what);
        }
    }
    if !missed.is_empty() {
        println!("\nmissed: {}", missed.join("; "));
        // A smoke run is too short to judge times.
        assert!(quick, "marks were missed");
    }
}
