//! The table: a row for each second.

use std::fmt;

use indicatif::BinaryBytes;
use memstache_core::{Condition, resilience::BreakerState};

use super::phase::Phase;
use crate::load::Seen;

/// One second.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) second: u64,
    pub(super) phase: Phase,
    pub(super) seen: Seen,
    /// Queries that the database got, answered or not.
    pub(super) loads: u64,
    pub(super) store: BreakerState,
    pub(super) source: BreakerState,
    pub(super) condition: Condition,
    pub(super) memory: Memory,
}

/// What is held at the end of a second, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// In near cache and store.
    pub(super) cached: u64,
    /// By calls that are under way below the near cache.
    pub(super) under_way: u64,
    /// By the whole process, where the system tells.
    pub(super) process: Option<u64>,
}

/// Returns what stands above the columns.
pub(super) fn head() -> String {
    let names = format!(
        "  {:>4}  {:<14}  {:>8}  {:>5}  {:>5}  {:>5}  {:>6}  {:>10}  {:<9}  {:<9}  {:<8}  {:>10}  {:>10}",
        "s",
        "phase",
        "requests",
        "hits",
        "stale",
        "loads",
        "errors",
        "slowest",
        "store",
        "database",
        "health",
        "cache",
        "process",
    );
    format!("{names}\n  {}", "-".repeat(names.len() - 2))
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { second, phase, seen, loads, store, source, condition, memory } = self;
        let slowest = format!("{:.1} ms", seen.slowest.as_secs_f64() * 1000.0);
        let process = memory.process.map_or_else(|| "-".to_owned(), bytes);
        write!(
            f,
            "  {second:>4}  {phase:<14}  {:>8}  {:>5}  {:>5}  {loads:>5}  {:>6}  {slowest:>10}  {:<9}  {:<9}  \
            {condition:<8}  {:>10}  {process:>10}",
            seen.requests,
            seen.hits,
            seen.stale,
            seen.errors,
            store.as_str(),
            source.as_str(),
            bytes(memory.cached + memory.under_way),
        )
    }
}

fn bytes(count: u64) -> String {
    BinaryBytes(count).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_columns_are_aligned() {
        let seen = Seen {
            requests: 400,
            hits: 301,
            stale: 80,
            errors: 19,
            slowest: Duration::from_micros(1_003_460),
            ..Seen::default()
        };
        let memory = Memory { cached: 1 << 20, under_way: 1 << 19, process: None };
        let row = Row {
            second: 13,
            phase: Phase::SourceHangs,
            seen,
            loads: 7,
            store: BreakerState::Closed,
            source: BreakerState::HalfOpen,
            condition: Condition::Degraded,
            memory,
        };
        let expected = "
     s  phase           requests   hits  stale  loads  errors     slowest  store      database   health         cache     process
  -------------------------------------------------------------------------------------------------------------------------------
    13  database hangs       400    301     80      7      19   1003.5 ms  closed     half_open  degraded    1.50 MiB           -";
        assert_eq!(format!("\n{}\n{row}", head()), expected);
    }
}
