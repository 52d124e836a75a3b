//! What was measured, as tables, bars and marks.

use super::{
    Bytes,
    cells::{Cell, Row, Scale, Workload},
};
use crate::{
    contestants::{Role, VALUE},
    measure::Round,
    plot::{Bar, Bars},
    report::{Bound, Mark, Table, figure},
    stats::{geometric_mean, greatest, least},
};

const MOPS: fn(&Round) -> f64 = |round| round.mops;
const P99: fn(&Round) -> f64 = |round| round.p99;

pub(super) fn heading(scale: &Scale, quick: bool) -> String {
    let Scale { resident, universe, capacity, prefill, rounds, .. } = scale;
    let warning = if quick { "\n\n**A smoke run: it shows that the bench works. Do not quote it.**" } else { "" };
    format!(
        "# Memory tier\n\nValues of {VALUE} bytes, keys by Zipf 0.99. All hits: {resident} keys, all resident. Mixes: {universe} keys, \
         {capacity} fit, after {prefill} read-through draws; a write puts a drawn key. Contestants take turns; {rounds} \
         rounds with new draws each: medians, with min and max. Ratios are medians of the rounds' own. p50 and p99 are of \
         every 37th operation and include the timer. memstache and quick_cache count bytes, memstache has a ttl on every \
         entry; the others count entries. memstache is called by its own methods, and once through its tower service; decoded values are texts behind an Arc, \
         through `Cache::get_arc` over a near cache.{warning}\n"
    )
}

/// One table for all numbers of threads.
pub(super) fn throughput(cells: &[Cell]) -> String {
    let mut table = Table::new(["cache", "threads", "Mops/s", "ns/op", "x quick_cache", "p50 ns", "p99 ns", "hit %"]);
    for cell in cells {
        for row in &cell.rows {
            let mops = row.of(MOPS);
            table.row([
                row.name.to_owned(),
                cell.threads.to_string(),
                mops.to_string(),
                figure(1e3 / mops.median, 0),
                figure(row.ratio(cell.row(Role::Reference), MOPS), 2),
                figure(row.of(|round| round.p50).median, 0),
                figure(row.of(P99).median, 0),
                figure(row.of(|round| round.hits).median, 1),
            ]);
        }
    }
    format!("## {}\n\n{table}", title(&cells[0]))
}

fn title(cell: &Cell) -> String {
    format!("{}, keys of {} bytes", cell.workload.name(), cell.key_len)
}

pub(super) fn bars(cells: &[Cell]) -> Bars {
    let bar = |row: &Row| Bar { name: row.name, ours: row.role.is_ours(), figure: row.of(MOPS) };
    let group = |cell: &Cell| {
        let threads = if cell.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", cell.threads) };
        (threads, cell.rows.iter().map(bar).collect())
    };
    Bars {
        title: format!("Throughput: {}", title(&cells[0])),
        unit: "million operations a second; whiskers: min and max",
        groups: cells.iter().map(group).collect(),
    }
}

pub(super) fn bytes(scale: &Scale, all: &[Bytes]) -> String {
    let head = scale.key_lens.iter().flat_map(|len| [format!("filled, keys of {len}"), "read once".to_owned()]);
    let mut table = Table::new(["cache".to_owned()].into_iter().chain(head));
    for it in all {
        let cells = it.footprints.iter().flat_map(|bytes| [figure(bytes.filled, 1), figure(bytes.read, 1)]);
        table.row([it.name.to_owned()].into_iter().chain(cells));
    }
    format!("## Bytes per entry beside key and value, {} entries, a process each\n\n{table}", scale.weighed)
}

/// The marks of the memory tier, for the row that is judged.
pub(super) fn marks(cells: &[Cell], all: &[Bytes]) -> Vec<Mark> {
    let ratios = |cells: &[&Cell], to: Role, figure: fn(&Round) -> f64| -> Vec<f64> {
        let ratio = |cell: &&Cell| Some(cell.row(Role::Judged)?.ratio(cell.row(to), figure));
        cells.iter().filter_map(ratio).collect()
    };
    let (decoded, everywhere): (Vec<_>, Vec<_>) = cells.iter().partition(|cell| cell.workload == Workload::Decoded);
    let hits: Vec<_> = everywhere.iter().copied().filter(|cell| cell.workload == Workload::Hits).collect();
    let speed = ratios(&everywhere, Role::Reference, MOPS);
    let tail = ratios(&hits, Role::Reference, P99);
    let filled = |bytes: &Bytes| bytes.footprints.iter().map(|it| it.filled).collect::<Vec<_>>();
    let judged = all.iter().filter(|bytes| bytes.role == Role::Judged).flat_map(filled);
    vec![
        Mark::new(
            format!("throughput / quick_cache, geometric mean of {} cells", speed.len()),
            geometric_mean(speed.iter().copied()),
            Bound::AtLeast(1.0),
        ),
        Mark::new("throughput / quick_cache, worst cell", least(speed), Bound::AtLeast(0.85)),
        Mark::new(
            "throughput of hits / bare map, geometric mean",
            geometric_mean(ratios(&hits, Role::Bound, MOPS)),
            Bound::AtLeast(0.8),
        ),
        Mark::new("p99 of a hit / quick_cache's, geometric mean", geometric_mean(tail), Bound::AtMost(1.3)),
        Mark::new(
            "time of a decoded hit through a handle / quick_cache's hit of an Arc, geometric mean",
            geometric_mean(ratios(&decoded, Role::Reference, MOPS).into_iter().map(|ratio| 1.0 / ratio)),
            Bound::AtMost(1.3),
        ),
        Mark::new("bytes per entry beside key and value, filled", greatest(judged), Bound::AtMost(110.0)),
    ]
}
