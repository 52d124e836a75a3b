//! Plays requests to contestants, as many at a time as there are processors.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    belady,
    contestants::{Player, Role},
    screen::Progress,
    traces::Trace,
    workloads::Group,
};

/// One workload at one capacity.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) workload: String,
    pub(super) group: Group,
    pub(super) requests: usize,
    pub(super) distinct: usize,
    pub(super) percent: f64,
    /// In entries.
    pub(super) capacity: usize,
    pub(super) rows: Vec<Row>,
    /// Percent of the requests that a clairvoyant hits.
    pub(super) belady: f64,
}

/// What one contestant did in a cell.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) role: Role,
    /// Percent of the requests; NaN where it does not take part.
    pub(super) hits: f64,
}

impl Cell {
    /// The best that was had without knowing the future, the cross-check aside.
    pub(super) fn best(&self) -> f64 {
        self.rows.iter().filter(|row| !row.is_aside()).map(|row| row.hits).fold(f64::NAN, f64::max)
    }

    /// Points that a contestant is below the best.
    pub(super) fn regret(&self, name: &str) -> f64 {
        self.rows.iter().find(|row| row.name == name).map_or(f64::NAN, |row| self.best() - row.hits)
    }
}

impl Row {
    /// Whether it counts bytes, and so is only a cross-check.
    pub(super) fn is_aside(&self) -> bool {
        matches!(self.role, Role::CrossCheck | Role::Ours)
    }
}

/// One cell a capacity.
pub(super) fn play(
    name: &str,
    group: Group,
    trace: &Trace,
    percents: &[f64],
    players: &[Player],
    progress: &Progress,
) -> Vec<Cell> {
    let capacity = |percent: f64| ((trace.distinct as f64 * percent / 100.0) as usize).max(1);
    // Belady comes behind the last player.
    let jobs = percents.len() * (players.len() + 1);
    let hits = in_parallel(jobs, |job| {
        let (at, capacity) = (job / percents.len(), capacity(percents[job % percents.len()]));
        let hits = players.get(at).map_or_else(
            || belady::hits(trace, capacity) as f64,
            |player| if capacity < player.from { f64::NAN } else { hits(player, trace, capacity) as f64 },
        );
        progress.step();
        100.0 * hits / trace.requests.len() as f64
    });
    let cell = |(number, percent): (usize, &f64)| {
        let of = |at: usize| hits[at * percents.len() + number];
        let row = |(at, player): (usize, &Player)| Row { name: player.name, role: player.role, hits: of(at) };
        Cell {
            workload: name.to_owned(),
            group,
            requests: trace.requests.len(),
            distinct: trace.distinct,
            percent: *percent,
            capacity: capacity(*percent),
            rows: players.iter().enumerate().map(row).collect(),
            belady: of(players.len()),
        }
    };
    percents.iter().enumerate().map(cell).collect()
}

fn hits(player: &Player, trace: &Trace, capacity: usize) -> usize {
    let mut cache = (player.make)(capacity, trace.distinct);
    trace.requests.iter().filter(|key| cache.request(**key)).count()
}

/// The results of the jobs, by their numbers.
fn in_parallel(jobs: usize, work: impl Fn(usize) -> f64 + Sync) -> Vec<f64> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![f64::NAN; jobs]);
    let worker = || {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return;
            }
            let result = work(job);
            results.lock().unwrap_or_else(PoisonError::into_inner)[job] = result;
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(jobs);
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(worker))));
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestants::players;

    #[test]
    fn nobody_beats_the_clairvoyant_and_all_hold_what_fits() {
        let requests = (crate::workloads::GENERATORS[1].make)(20_000);
        let trace = Trace::of(requests);
        let cells = play("x", Group::Synthetic, &trace, &[5.0, 100.0], &players(), &Progress::new(0));
        for row in cells[0].rows.iter().filter(|row| !row.hits.is_nan()) {
            assert!(row.hits > 0.0 && row.hits <= cells[0].belady, "{row:?} of {}", cells[0].belady);
        }
        assert_eq!((cells[0].capacity, cells[1].capacity), (trace.distinct / 20, trace.distinct));
        let lru = cells[1].rows.iter().find(|row| row.name == "LRU (exact)").unwrap();
        assert_eq!(lru.hits, cells[1].belady, "everything fits");
    }

    #[test]
    fn regret_is_to_the_best_that_counts_entries() {
        let row = |name, role, hits| Row { name, role, hits };
        let cell = Cell {
            workload: String::new(),
            group: Group::Real,
            requests: 1,
            distinct: 1,
            percent: 1.0,
            capacity: 1,
            rows: vec![
                row("memstache LRU", Role::Judged, 40.0),
                row("memstache store (bytes)", Role::CrossCheck, 60.0),
                row("moka (strict)", Role::Peer, 45.0),
            ],
            belady: 70.0,
        };
        assert_eq!((cell.best(), cell.regret("memstache LRU"), cell.regret("moka (strict)")), (45.0, 5.0, 0.0));
    }

    #[test]
    fn results_come_by_number() {
        assert_eq!(in_parallel(5, |job| job as f64), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert!(in_parallel(0, |_| 0.0).is_empty());
    }
}
