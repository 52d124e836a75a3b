//! What a noisy neighbour costs the others: hit ratio and latency, with and without fairness.
//!
//! `cargo xtask bench noisy`; `--quick` for a smoke run. The cases take turns in one run. Requests are the same in each
//! run; which entries share a shard is not.
//!
//! A hit is slower beside somebody who is busy, whatever the store does: its entry has left the processor's caches. What
//! that costs is the second row, where the noise has a store of its own; compare the rows below with it. What a tenant
//! feels of a lower hit ratio is the last column: a miss also waits for the source.

#![allow(clippy::print_stdout, missing_docs, reason = "a bench prints its table")]

mod play;

use std::time::{Duration, Instant};

use self::play::{Case, Play};

/// Rounds of all cases in turns; the first is for warming up.
const TURNS: usize = 6;

struct Row {
    case: Case,
    play: Play,
    ratios: Vec<f64>,
    hits: Vec<Duration>,
    /// What a read takes that goes on to the source if it misses.
    reads: Vec<Duration>,
}

/// What a source takes that is asked on a miss: added, not waited for.
const SOURCE: Duration = Duration::from_millis(1);

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn timed(get: &dyn Fn() -> bool, seen: &mut Vec<(bool, Duration)>) -> bool {
    let start = Instant::now();
    let hit = get();
    seen.push((hit, start.elapsed()));
    hit
}

impl Row {
    fn turn(&mut self, rounds: usize, counted: bool) {
        let mut seen = Vec::with_capacity(rounds * 20);
        let ratio = self.play.run(rounds, &mut |get| timed(get, &mut seen));
        if counted {
            self.ratios.push(ratio);
            self.hits.extend(seen.iter().filter(|(hit, _)| *hit).map(|(_, took)| *took));
            self.reads.extend(seen.iter().map(|(hit, took)| if *hit { *took } else { *took + SOURCE }));
        }
    }
}

fn quantile(spans: &mut [Duration], part: f64) -> Duration {
    spans.sort_unstable();
    spans[(spans.len() as f64 * part) as usize]
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (keys, rounds) = if quick { (300, 600) } else { (2_000, 6_000) };
    let row = |case| Row { case, play: Play::new(case, keys), ratios: Vec::new(), hits: Vec::new(), reads: Vec::new() };
    let mut rows = Case::ALL.map(row);
    for turn in 0..TURNS {
        rows.iter_mut().for_each(|row| row.turn(rounds, turn > 0));
    }
    let quiet = mean(&rows[0].ratios);
    println!(
        "| the others, of 20 tenants | hit ratio | against no noise | hit p50 | hit p99 | mean read, source 1 ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for row in &mut rows {
        let name = match row.case {
            Case::NoNoise => "no noise",
            Case::Elsewhere => "one at 50 × its share, in a store of its own",
            Case::Unfair => "one at 50 × its share, no fairness",
            Case::Fair => "one at 50 × its share, `FairShare`",
        };
        let ratio = mean(&row.ratios);
        let points = (ratio - quiet) * 100.0;
        let [p50, p99] = [0.5, 0.99].map(|part| quantile(&mut row.hits, part).as_nanos());
        let (ratio, read) = (ratio * 100.0, row.reads.iter().sum::<Duration>().as_micros() / row.reads.len() as u128);
        println!("| {name} | {ratio:.2} % | {points:+.2} points | {p50} ns | {p99} ns | {read} µs |");
    }
}

fn mean(ratios: &[f64]) -> f64 {
    ratios.iter().sum::<f64>() / ratios.len() as f64
}
