//! What was measured, as tables, bars and marks.

use super::{
    cells::{Cell, Load, Row, Scale, What},
    clients::Part,
    measure::{BATCH, KEYS},
};
use crate::{
    closed_loop::Round,
    plot::{Bar, Bars},
    report::{Bound, Mark, Table, figure},
    stats::{Spread, least},
};

const KOPS: fn(&Round) -> f64 = |round| round.kops;

pub(super) fn heading(scale: &Scale, quick: bool) -> String {
    let warning = if quick { "\n\n**A smoke run: it shows that the bench works. Do not quote it.**" } else { "" };
    format!(
        "# Redis\n\nOne server on loopback, {KEYS} keys of each contestant, a closed loop of tasks over one runtime of two \
         threads; a batch of {BATCH} is one operation. Contestants take turns; {} rounds of {} s each: medians, with min and \
         max. Ratios are medians of the rounds' own. \"fred, our commands\" repeats what memstache's store sends. The stack is \
         postcard, lz4, sealed. The server has the same cores: quote ratios.{warning}\n",
        scale.rounds, scale.seconds
    )
}

/// One table for all numbers of tasks.
pub(super) fn throughput(cells: &[Cell]) -> String {
    let mut table = Table::new(["client", "tasks", "k ops/s", "x fred", "p50 us", "p99 us"]);
    for cell in cells {
        for row in &cell.rows {
            let ratio = cell.row(Part::Reference).map_or(f64::NAN, |reference| row.ratio(reference));
            table.row([
                row.name.to_owned(),
                cell.load.tasks.to_string(),
                row.of(KOPS).to_string(),
                figure(ratio, 2),
                figure(row.of(|round| round.p50).median, 0),
                figure(row.of(|round| round.p99).median, 0),
            ]);
        }
    }
    format!("## {}\n\n{table}", cells[0].load.name())
}

pub(super) fn bars(cells: &[Cell]) -> Bars {
    let bar = |row: &Row| Bar { name: row.name, ours: row.part.is_ours(), figure: row.of(KOPS) };
    let group = |cell: &Cell| {
        let tasks = if cell.load.tasks == 1 { "1 task".to_owned() } else { format!("{} tasks", cell.load.tasks) };
        (tasks, cell.rows.iter().map(bar).collect())
    };
    Bars {
        title: format!("Redis: {}", cells[0].load.name()),
        unit: "thousand operations a second; whiskers: min and max",
        groups: cells.iter().map(group).collect(),
    }
}

/// The marks of the store, the stack and the near cache.
pub(super) fn marks(cells: &[Cell]) -> Vec<Mark> {
    let ratios = |part, to, wanted: fn(&Load) -> bool| -> Vec<f64> {
        let ratio = |cell: &Cell| Some(cell.row(part)?.ratio(cell.row(to)?));
        cells.iter().filter(|cell| wanted(&cell.load)).filter_map(ratio).collect()
    };
    let not_zipf: fn(&Load) -> bool = |load| load.what != What::Zipf;
    let store = ratios(Part::Store, Part::SameCommands, not_zipf);
    let single: fn(&Load) -> bool = |load| matches!(load.what, What::Get | What::Set) && load.tasks == 128;
    let stack = ratios(Part::Stack, Part::Reference, single);
    let near = ratios(Part::Near, Part::Reference, |load| load.what == What::Zipf && load.tasks == 128);
    let of = |figures: &[f64]| Spread::of(figures.iter().copied());
    vec![
        Mark::new(
            format!("store / fred with the same commands, median of {} cells", store.len()),
            of(&store).median,
            Bound::AtLeast(0.95),
        ),
        Mark::new("store / fred with the same commands, worst cell", least(store), Bound::AtLeast(0.85)),
        Mark::new("stack / bare fred at 128 tasks, worst of GET and SET", least(stack), Bound::AtLeast(0.8)),
        Mark::new("with the near tier, Zipf 0.99 / bare fred at 128 tasks", of(&near).median, Bound::AtLeast(10.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str, part: Part, kops: f64) -> Row {
        Row { name, part, rounds: vec![Round { kops, p50: 1.0, p99: 2.0 }; 3] }
    }

    fn cells() -> Vec<Cell> {
        let rows = |near: bool| {
            let mut rows = vec![row("fred", Part::Reference, 100.0), row("same", Part::SameCommands, 80.0)];
            rows.extend([row("store", Part::Store, 72.0), row("stack", Part::Stack, 85.0)]);
            rows.extend(near.then(|| row("near", Part::Near, 2_000.0)));
            rows
        };
        let load = |what, tasks| Load { what, size: 256, tasks };
        vec![
            Cell { load: load(What::Get, 1), rows: rows(false) },
            Cell { load: load(What::Get, 128), rows: rows(false) },
            Cell { load: load(What::Zipf, 128), rows: rows(true) },
        ]
    }

    #[test]
    fn marks_compare_with_what_they_say() {
        let marks = marks(&cells());
        let figures: Vec<_> = marks.iter().map(|mark| (mark.figure * 100.0).round()).collect();
        assert_eq!(figures, [90.0, 90.0, 85.0, 2_000.0]);
        assert_eq!(marks.iter().map(Mark::met).collect::<Vec<_>>(), [Some(false), Some(true), Some(true), Some(true)]);
    }

    #[test]
    fn what_was_not_measured_has_no_mark() {
        assert!(marks(&[]).iter().all(|mark| mark.met().is_none()));
    }

    #[test]
    fn every_contestant_has_its_row_and_bar() {
        let cells = cells();
        assert_eq!(throughput(&cells[..2]).matches("| fred ").count(), 2);
        assert_eq!(bars(&cells[..2]).groups.len(), 2);
        assert!(heading(&Scale::QUICK, true).contains("smoke run"));
    }
}
