//! What is promised whatever is broken, held against what was seen.

use std::{fmt, time::Duration};

use indicatif::{BinaryBytes, HumanCount};
use memstache_core::{Condition, resilience::BreakerState};

use super::row::Row;
use crate::{cache::DEADLINE, load::RATE};

/// What the way to the service and back may take besides, on a busy machine.
const WAY: Duration = Duration::from_millis(500);

/// How much of the load must have been there, in percent: what is missing at the end was still to be caught up with.
const LEAST_PACE: u64 = 90;

/// By how much the process may grow while all is broken, in bytes.
const MOST_GROWTH: u64 = 128 << 20;

/// All that was seen.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) rows: Vec<Row>,
    /// Products that were asked for again and again.
    pub(super) known: u64,
    /// Lifetimes of an entry that fit into the run.
    pub(super) lifetimes: u64,
    /// Bytes that near cache and store may hold.
    pub(super) most_cached: u64,
    /// Bytes that calls under way may hold.
    pub(super) most_under_way: u64,
    /// How often the breakers have opened: that of the store, that of the database.
    pub(super) opened: (u64, u64),
}

/// One promise, and whether it was kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kept: bool,
    name: &'static str,
    told: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, name, told } = self;
        write!(f, "  {:<6}  {name:<10}  {told}", if *kept { "ok" } else { "FAILED" })
    }
}

impl Evidence {
    /// Judges each promise.
    pub(super) fn verdicts(&self) -> [Verdict; 7] {
        [self.broken(), self.pace(), self.deadline(), self.known(), self.source(), self.memory(), self.recovered()]
    }

    fn sum(&self, of: impl Fn(&Row) -> u64) -> u64 {
        self.rows.iter().map(of).sum()
    }

    fn most(&self, of: impl Fn(&Row) -> u64) -> u64 {
        self.rows.iter().map(of).max().unwrap_or_default()
    }

    /// Without this one, the others would hold because nothing happened.
    fn broken(&self) -> Verdict {
        let ((store, source), stale) = (self.opened, self.sum(|row| row.seen.stale));
        let told = format!(
            "the store's breaker opened {}, the database's {}; {} stale answers",
            times(store),
            times(source),
            HumanCount(stale)
        );
        Verdict { kept: store > 0 && source > 0 && stale > 0, name: "broken", told }
    }

    /// Nor is a promise kept to callers who were held up and did not ask.
    fn pace(&self) -> Verdict {
        let (requests, seconds) = (self.sum(|row| row.seen.requests), self.rows.len() as u64);
        let least = u64::from(RATE) * seconds * LEAST_PACE / 100;
        let told = format!(
            "{} requests in {seconds} s, at least {}: {LEAST_PACE} % of {RATE} a second",
            HumanCount(requests),
            HumanCount(least),
        );
        Verdict { kept: least > 0 && requests >= least, name: "pace", told }
    }

    fn deadline(&self) -> Verdict {
        let slowest = self.rows.iter().map(|row| row.seen.slowest).max().unwrap_or_default();
        let told = format!(
            "the slowest of {} requests took {slowest:.2?}; its deadline is {DEADLINE:?}, and {WAY:?} for the way",
            HumanCount(self.sum(|row| row.seen.requests)),
        );
        Verdict { kept: !slowest.is_zero() && slowest <= DEADLINE + WAY, name: "deadline", told }
    }

    /// With neither store nor database, near copies are all that is left: they are enough.
    fn known(&self) -> Verdict {
        let known = |row: &Row| row.seen.errors_of_known;
        let (failed, new) = (self.sum(known), self.sum(|row| row.seen.errors - known(row)));
        let at: Vec<_> = self.rows.iter().filter(|row| known(row) > 0).map(|row| row.second).collect();
        let told = format!(
            "{} of the requests for {} known products failed{}; {} for new ones",
            HumanCount(failed),
            self.known,
            if at.is_empty() { String::new() } else { format!(" (in seconds {at:?})") },
            HumanCount(new),
        );
        Verdict { kept: failed == 0, name: "known", told }
    }

    fn source(&self) -> Verdict {
        let (loads, new) = (self.sum(|row| row.loads), self.sum(|row| row.seen.new));
        let most = self.known * self.lifetimes + new;
        let away: Vec<&Row> = self.rows.iter().filter(|row| !row.phase.has_source()).collect();
        let told = format!(
            "{} loads, at most {} ({} known products in {} lifetimes, {} new ones); {} in the {} s without a database",
            HumanCount(loads),
            HumanCount(most),
            self.known,
            self.lifetimes,
            HumanCount(new),
            HumanCount(away.iter().map(|row| row.loads).sum()),
            away.len(),
        );
        Verdict { kept: (1..=most).contains(&loads), name: "database", told }
    }

    fn memory(&self) -> Verdict {
        let (cached, under_way) = (self.most(|row| row.memory.cached), self.most(|row| row.memory.under_way));
        let process = |row: &Row| row.memory.process.unwrap_or_default();
        let first = self.rows.first().map(process).unwrap_or_default();
        let growth = self.most(process).saturating_sub(first);
        let told = format!(
            "at most {} cached of {}, {} under way of {}; the process grew by {} of {}",
            BinaryBytes(cached),
            BinaryBytes(self.most_cached),
            BinaryBytes(under_way),
            BinaryBytes(self.most_under_way),
            BinaryBytes(growth),
            BinaryBytes(MOST_GROWTH),
        );
        let kept = cached <= self.most_cached && under_way <= self.most_under_way && growth <= MOST_GROWTH;
        Verdict { kept, name: "memory", told }
    }

    fn recovered(&self) -> Verdict {
        let Some(last) = self.rows.last() else {
            return Verdict { kept: false, name: "recovered", told: "there was no last second".to_owned() };
        };
        let closed = [last.store, last.source] == [BreakerState::Closed; 2];
        let well = last.condition == Condition::Healthy;
        let told = format!(
            "in the last second: {} requests, {} errors, store's breaker {}, database's {}, health {}",
            last.seen.requests,
            last.seen.errors,
            last.store.as_str(),
            last.source.as_str(),
            last.condition,
        );
        Verdict { kept: closed && well && last.seen.errors == 0 && last.seen.requests > 0, name: "recovered", told }
    }
}

fn times(count: u64) -> String {
    format!("{} time{}", HumanCount(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chaos::{phase::Phase, row::Memory},
        load::Seen,
    };

    fn row(second: u64, phase: Phase) -> Row {
        let slowest = Duration::from_millis(1_004);
        let seen = Seen { requests: 500, hits: 300, stale: 60, new: 20, errors: 5, slowest, ..Seen::default() };
        let (store, source, condition) = (BreakerState::Closed, BreakerState::Open, Condition::Degraded);
        let memory = Memory { cached: 1 << 20, under_way: 0, process: Some(64 << 20) };
        Row { second, phase, seen, loads: 50, store, source, condition, memory }
    }

    fn good() -> Evidence {
        let mut rows = vec![row(1, Phase::Calm), row(2, Phase::SourceHangs), row(3, Phase::Recovery)];
        (rows[2].source, rows[2].condition, rows[2].seen.errors) = (BreakerState::Closed, Condition::Healthy, 0);
        Evidence { rows, known: 100, lifetimes: 2, most_cached: 8 << 20, most_under_way: 4 << 20, opened: (1, 2) }
    }

    #[test]
    fn a_good_run_is_told_line_by_line() {
        let told: Vec<String> = good().verdicts().iter().map(ToString::to_string).collect();
        let expected = [
            "  ok      broken      the store's breaker opened 1 time, the database's 2 times; 180 stale answers",
            "  ok      pace        1,500 requests in 3 s, at least 1,350: 90 % of 500 a second",
            "  ok      deadline    the slowest of 1,500 requests took 1.00s; its deadline is 2s, and 500ms for the way",
            "  ok      known       0 of the requests for 100 known products failed; 10 for new ones",
            "  ok      database    150 loads, at most 260 (100 known products in 2 lifetimes, 60 new ones); 50 in the 1 s without a database",
            "  ok      memory      at most 1.00 MiB cached of 8.00 MiB, 0 B under way of 4.00 MiB; the process grew by 0 B of 128.00 MiB",
            "  ok      recovered   in the last second: 500 requests, 0 errors, store's breaker closed, database's closed, health healthy",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn every_broken_promise_is_found() {
        let cases: [(fn(&mut Evidence), &str); 20] = [
            (|seen| seen.opened.0 = 0, "broken"),
            (|seen| seen.opened.1 = 0, "broken"),
            (|seen| seen.rows.iter_mut().for_each(|row| row.seen.stale = 0), "broken"),
            (|seen| seen.rows[1].seen.requests = 349, "pace"),
            (|seen| seen.rows[1].seen.requests = 350, ""),
            (|seen| seen.rows.iter_mut().for_each(|row| row.seen.requests = 1), "pace"),
            (|seen| seen.rows[1].seen.slowest = DEADLINE + WAY + Duration::from_millis(1), "deadline"),
            (|seen| seen.rows.iter_mut().for_each(|row| row.seen.slowest = Duration::ZERO), "deadline"),
            (|seen| (seen.rows[1].phase, seen.rows[1].seen.errors_of_known) = (Phase::BothHang, 1), "known"),
            (|seen| seen.rows[1].loads = 161, "database"),
            (|seen| seen.rows.iter_mut().for_each(|row| row.loads = 0), "database"),
            (|seen| seen.rows[1].memory.cached = (8 << 20) + 1, "memory"),
            (|seen| seen.rows[1].memory.under_way = (4 << 20) + 1, "memory"),
            (|seen| seen.rows[1].memory.process = Some(193 << 20), "memory"),
            (|seen| seen.rows[2].store = BreakerState::Open, "recovered"),
            (|seen| seen.rows[2].source = BreakerState::HalfOpen, "recovered"),
            (|seen| seen.rows[2].condition = Condition::Degraded, "recovered"),
            (|seen| seen.rows[2].seen.errors = 1, "recovered"),
            (|seen| (seen.rows[1].seen.requests, seen.rows[2].seen.requests) = (1000, 0), "recovered"),
            (|seen| seen.rows[2].memory.process = None, ""),
        ];
        for (number, (break_it, name)) in cases.into_iter().enumerate() {
            let mut seen = good();
            break_it(&mut seen);
            let failed: Vec<_> = seen.verdicts().into_iter().filter(|it| !it.kept).map(|it| it.name).collect();
            assert_eq!(failed, if name.is_empty() { vec![] } else { vec![name] }, "case {number}");
        }
        let mut seen = good();
        (seen.rows[1].phase, seen.rows[1].seen.errors_of_known) = (Phase::BothHang, 1);
        assert!(seen.known().told.contains("(in seconds [2])"), "{}", seen.known());

        let nothing = Evidence { rows: Vec::new(), ..good() }.verdicts();
        assert!(nothing.iter().filter(|it| !it.kept).count() >= 5, "{nothing:?}");
    }
}
