//! What a noisy neighbour costs the others: hit ratio and latency, with and without fairness.
//!
//! `cargo xtask bench noisy`; `--quick` for a smoke run. The cases take turns in one run. Requests are the same in each
//! run; which entries share a shard is not.

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
    nanos: Vec<Duration>,
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn timed(get: &dyn Fn() -> bool, nanos: &mut Vec<Duration>) -> bool {
    let start = Instant::now();
    let hit = get();
    nanos.push(start.elapsed());
    hit
}

impl Row {
    fn turn(&mut self, rounds: usize, counted: bool) {
        let mut nanos = Vec::with_capacity(rounds * 20);
        let ratio = self.play.run(rounds, &mut |get| timed(get, &mut nanos));
        if counted {
            self.ratios.push(ratio);
            self.nanos.append(&mut nanos);
        }
    }

    fn quantile(&mut self, part: f64) -> u128 {
        self.nanos.sort_unstable();
        self.nanos[(self.nanos.len() as f64 * part) as usize].as_nanos()
    }
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (keys, rounds) = if quick { (300, 600) } else { (2_000, 6_000) };
    let row = |case| Row { case, play: Play::new(case, keys), ratios: Vec::new(), nanos: Vec::new() };
    let mut rows = Case::ALL.map(row);
    for turn in 0..TURNS {
        rows.iter_mut().for_each(|row| row.turn(rounds, turn > 0));
    }
    let quiet = mean(&rows[0].ratios);
    println!("| the others, of 20 tenants | hit ratio | against no noise | get p50 | get p99 |");
    println!("| --- | --- | --- | --- | --- |");
    for row in &mut rows {
        let name = match row.case {
            Case::NoNoise => "no noise",
            Case::Unfair => "one at 50 × its share, no fairness",
            Case::Fair => "one at 50 × its share, `FairShare`",
        };
        let (ratio, p50, p99) = (mean(&row.ratios), row.quantile(0.5), row.quantile(0.99));
        let points = (ratio - quiet) * 100.0;
        println!("| {name} | {:.2} % | {points:+.2} points | {p50} ns | {p99} ns |", ratio * 100.0);
    }
}

fn mean(ratios: &[f64]) -> f64 {
    ratios.iter().sum::<f64>() / ratios.len() as f64
}
