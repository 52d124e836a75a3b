//! What was measured, as tables, bars and marks.

use super::{
    cells::{Cell, Row, Scale},
    contestants::{BATCH, KEYS, LEN, Part},
    local::Local,
};
use crate::{
    closed_loop::{Round, spread},
    plot::{Bar, Bars},
    report::{Bound, Mark, Table, figure},
    stats::Spread,
};

const KOPS: fn(&Round) -> f64 = |round| round.kops;
const P50: fn(&Round) -> f64 = |round| round.p50;
const P99: fn(&Round) -> f64 = |round| round.p99;

pub(super) fn heading(scale: &Scale, quick: bool) -> String {
    let warning = if quick { "\n\n**A smoke run: it shows that the bench works. Do not quote it.**" } else { "" };
    format!(
        "# Cluster\n\nValues of {LEN} bytes that another node holds, {KEYS} keys, TLS on both sides over loopback, a closed \
         loop of tasks over one runtime of two threads, both ends in one process; a batch of {BATCH} is one operation. \
         Contestants take turns; {} rounds of {} s each: medians, with min and max. Ratios are medians of the rounds' \
         own.{warning}\n",
        scale.rounds, scale.seconds
    )
}

pub(super) fn throughput(cells: &[Cell]) -> String {
    let mut table = Table::new(["who", "tasks", "k ops/s", "x groupcache", "x bare frames", "p50 us", "p99 us"]);
    for cell in cells {
        for row in &cell.rows {
            let over = |part| cell.row(part).map_or(f64::NAN, |other| row.ratio(other, KOPS));
            table.row([
                row.part.name().to_owned(),
                cell.tasks.to_string(),
                spread(&row.rounds, KOPS).to_string(),
                figure(over(Part::Groupcache), 2),
                figure(over(Part::Frames), 2),
                figure(spread(&row.rounds, P50).median, 0),
                figure(spread(&row.rounds, P99).median, 0),
            ]);
        }
    }
    format!("## Reads of what another node holds\n\n{table}")
}

pub(super) fn local(local: &Local) -> String {
    let mut table = Table::new(["the same handle over", "ns a read", "x"]);
    let spread = |nanos: &[f64]| Spread::of(nanos.iter().copied()).to_string();
    table.row(["a memory store".to_owned(), spread(&local.store), "1.00".to_owned()]);
    table.row(["a keyspace of an engine".to_owned(), spread(&local.engine), figure(local.ratio(), 2)]);
    format!("## Reads of what the node holds\n\n{table}")
}

pub(super) fn bars(cells: &[Cell]) -> Bars {
    let bar = |row: &Row| Bar { name: row.part.name(), ours: row.part.is_ours(), figure: spread(&row.rounds, KOPS) };
    let group = |cell: &Cell| {
        let tasks = if cell.tasks == 1 { "1 task".to_owned() } else { format!("{} tasks", cell.tasks) };
        (tasks, cell.rows.iter().map(bar).collect())
    };
    Bars {
        title: "Reads of what another node holds, 256 bytes, TLS".to_owned(),
        unit: "thousand operations a second; whiskers: min and max",
        groups: cells.iter().map(group).collect(),
    }
}

pub(super) fn marks(cells: &[Cell], local: &Local) -> Vec<Mark> {
    let over = |tasks: usize, part, other, figure| {
        let cell = cells.iter().find(|cell| cell.tasks == tasks)?;
        Some(cell.row(part)?.ratio(cell.row(other)?, figure))
    };
    let over = |tasks, part, other, figure| over(tasks, part, other, figure).unwrap_or(f64::NAN);
    let (engine, groupcache) = (Part::Engine, Part::Groupcache);
    // A batch is one operation.
    let batches = over(1, Part::Batches, Part::Three, KOPS) * BATCH as f64;
    vec![
        Mark::new("engine / groupcache at 128 tasks", over(128, engine, groupcache, KOPS), Bound::AtLeast(10.0)),
        Mark::new("engine / groupcache at one task", over(1, engine, groupcache, KOPS), Bound::AtLeast(5.0)),
        Mark::new("engine / groupcache, p50 at one task", over(1, engine, groupcache, P50), Bound::AtMost(0.2)),
        Mark::new("engine / bare frames at 128 tasks", over(128, engine, Part::Frames, KOPS), Bound::AtLeast(0.6)),
        Mark::new("peers / bare frames at 128 tasks", over(128, Part::Peers, Part::Frames, KOPS), Bound::AtLeast(0.6)),
        Mark::new("keys of batches over three nodes / single reads, one task", batches, Bound::AtLeast(20.0)),
        Mark::new("what the node holds / a memory store, same handle, time", local.ratio(), Bound::AtMost(1.3)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(part: Part, kops: f64, p50: f64) -> Row {
        Row { part, rounds: vec![Round { kops, p50, p99: 2.0 * p50 }; 3] }
    }

    fn cells() -> Vec<Cell> {
        let rows = || {
            vec![
                row(Part::Frames, 200.0, 20.0),
                row(Part::Peers, 150.0, 25.0),
                row(Part::Engine, 100.0, 30.0),
                row(Part::Three, 120.0, 25.0),
                row(Part::Batches, 30.0, 90.0),
                row(Part::Groupcache, 5.0, 300.0),
            ]
        };
        vec![Cell { tasks: 1, rows: rows() }, Cell { tasks: 128, rows: rows() }]
    }

    fn at_home() -> Local {
        Local { store: vec![100.0, 200.0], engine: vec![150.0, 250.0] }
    }

    #[test]
    fn marks_compare_with_what_they_say() {
        let marks = marks(&cells(), &at_home());
        let figures: Vec<_> = marks.iter().map(|mark| (mark.figure * 100.0).round()).collect();
        assert_eq!(figures, [2_000.0, 2_000.0, 10.0, 50.0, 75.0, 2_500.0, 138.0]);
        let met = [true, true, true, false, true, true, false].map(Some);
        assert_eq!(marks.iter().map(Mark::met).collect::<Vec<_>>(), met);
    }

    #[test]
    fn what_was_not_measured_has_no_mark() {
        let marks = marks(&[], &Local { store: Vec::new(), engine: Vec::new() });
        assert!(marks.iter().all(|mark| mark.met().is_none()));
    }

    #[test]
    fn every_contestant_has_its_row_and_bar() {
        let table = throughput(&cells());
        assert_eq!(table.matches("| groupcache ").count(), 2, "{table}");
        assert_eq!(bars(&cells()).groups.len(), 2);
        assert!(local(&at_home()).contains("1.38"));
        assert!(heading(&Scale::QUICK, true).contains("smoke run"));
    }
}
