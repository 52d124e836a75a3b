//! The run: load, faults, a row each second, the verdicts.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use memstache_core::resilience::{BreakerState, CircuitBreaker};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    phase::Phase,
    row::{Memory, Row, head},
    verdict::Evidence,
};
use crate::{
    cache::{Caches, JITTER, Lives},
    check::lifetimes,
    database::Route,
    load::{Load, Pace},
    screen::say,
    service::App,
    store::NEAR_BYTES,
};

/// Short-lived, so that fresh copies do not hide what is broken.
const TTL: Duration = Duration::from_secs(2);

/// How long the database is left alone: shorter than usual, to be seen coming back.
const SOURCE_PAUSE: Duration = Duration::from_secs(1);

/// Returns how long things live in a run: stale answers last until all is back.
pub(crate) fn lives(seconds: u64) -> Lives {
    Lives { ttl: TTL, stale_for: Duration::from_secs(30 + Phase::total(seconds)), source_pause: SOURCE_PAUSE }
}

/// Breaks one thing after the other under load, and shows what is seen; an error if a promise was not kept.
///
/// # Cancellation
/// What is broken stays so: the program ends.
pub(crate) async fn run(app: &App, load: &Load, seconds: u64, exponent: f64) -> Result<()> {
    let (pace, started) = (Pace::start(load, exponent).await?, Instant::now());
    // The first load of each known product was before.
    let mut loads = app.database.ledger().queries(Route::Cached).total;
    let mut rows = Vec::new();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    say(head())?;
    for (phase, seconds) in Phase::plan(seconds) {
        phase.begin(&app.caches.faults, app.database.outage());
        for _ in 0..seconds {
            ticks.tick().await;
            let total = app.database.ledger().queries(Route::Cached).total;
            let row = look(app, &pace, rows.len() as u64 + 1, phase, total - loads);
            loads = total;
            say(&row)?;
            rows.push(row);
        }
    }
    let (known, elapsed) = (pace.known() as u64, started.elapsed());
    pace.end().await;
    judge(&evidence(&app.caches, rows, known, lifetimes(elapsed, TTL, JITTER)))
}

fn look(app: &App, pace: &Pace, second: u64, phase: Phase, loads: u64) -> Row {
    let caches = &app.caches;
    let memory = Memory {
        cached: (caches.near.stats().bytes + caches.store.bytes().0) as u64,
        under_way: caches.resilience.snapshot().bytes.taken as u64,
        process: resident(),
    };
    Row {
        second,
        phase,
        seen: pace.take(),
        loads,
        store: caches.resilience.breaker().map_or(BreakerState::Closed, CircuitBreaker::state),
        source: caches.source.state(),
        condition: caches.all.health().condition,
        memory,
    }
}

fn evidence(caches: &Caches, rows: Vec<Row>, known: u64, lifetimes: u64) -> Evidence {
    let snapshot = caches.resilience.snapshot();
    Evidence {
        rows,
        known,
        lifetimes,
        most_cached: (NEAR_BYTES + caches.store.bytes().1) as u64,
        most_under_way: snapshot.bytes.most as u64,
        opened: (snapshot.breaker.map_or(0, |breaker| breaker.opened), caches.source.snapshot().opened),
    }
}

/// Shows the verdicts; an error if one is bad.
fn judge(evidence: &Evidence) -> Result<()> {
    say("")?;
    let verdicts = evidence.verdicts();
    for verdict in &verdicts {
        say(verdict)?;
    }
    say("")?;
    match verdicts.iter().filter(|verdict| !verdict.kept).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} promises were not kept", verdicts.len()),
    }
}

/// Bytes of memory that the process has, if the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    resident_in(&status)
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_where_it_is_told() {
        assert_eq!(resident_in("Name:\tx\nVmRSS:\t    2048 kB\nVmData:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(resident_in("Name:\tx\n"), None);
        assert_eq!(resident_in("VmRSS:\tmuch\n"), None);
    }

    #[test]
    fn stale_answers_outlast_the_chaos() {
        for seconds in [1, 4, 3600] {
            assert!(lives(seconds).stale_for > Duration::from_secs(7 * seconds));
        }
    }

    #[test]
    fn a_promise_that_was_not_kept_is_an_error() {
        let nothing =
            Evidence { rows: Vec::new(), known: 1, lifetimes: 1, most_cached: 0, most_under_way: 0, opened: (0, 0) };
        assert_eq!(judge(&nothing).unwrap_err().to_string(), "5 of 7 promises were not kept");
    }
}
