//! What is told at the end.

use std::time::SystemTime;

use serde::Serialize;

use crate::{tally::Tally, world::Seen};

/// Violations that are told in words.
const TOLD: usize = 20;

/// The load and its judgement, for a program to read.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// Milliseconds since 1970: the zero of all other times.
    pub(crate) started: u64,
    pub(crate) plain: Tally,
    pub(crate) near: Tally,
    pub(crate) loaded: Tally,
    pub(crate) writes: Tally,
    /// Reads that found something, and were judged.
    pub(crate) judged: usize,
    pub(crate) violations: usize,
    /// The first of them, in words.
    pub(crate) told: Vec<String>,
}

impl Summary {
    pub(crate) fn of(seen: Seen, started: SystemTime) -> Self {
        let violations = seen.history.violations();
        let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            started: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            plain: seen.plain,
            near: seen.near,
            loaded: seen.loaded,
            writes: seen.writes,
            judged: seen.history.reads(),
            violations: violations.len(),
            told: violations.iter().take(TOLD).map(ToString::to_string).collect(),
        }
    }
}
