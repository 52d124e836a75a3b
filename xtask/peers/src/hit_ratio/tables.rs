//! What was played, as tables, lines and marks.

use super::play::Cell;
use crate::{
    contestants::Role,
    plot::{Line, Lines},
    report::{Bound, Mark, Table, figure},
    stats::{greatest, mean},
    workloads::Group,
};

pub(super) fn heading(quick: bool) -> String {
    let warning = if quick { "\n\n**A smoke run: it shows that the bench works. Do not quote it.**" } else { "" };
    format!(
        "# Hit ratios\n\nPercent of requests that hit; capacity in percent of the distinct keys. The best of a row is bold, \
         Belady (who knows the future and need not store what he misses) aside. Rows \"memstache\" play its policies with a \
         map, in entries that weigh one each, as the peers do; \"store (bytes)\" is the store itself, with as many bytes as \
         it charges for that many entries, and only where that is large enough. moka does its housekeeping after each \
         request; foyer has one shard.{warning}\n"
    )
}

pub(super) fn ratios(group: Group, cells: &[&Cell]) -> String {
    let names = cells[0].rows.iter().map(|row| row.name.to_owned());
    let head = ["workload".to_owned(), "capacity".to_owned()].into_iter().chain(names).chain(["Belady".to_owned()]);
    let mut table = Table::new(head);
    for cell in cells {
        let place = [cell.workload.clone(), format!("{} % = {}", cell.percent, cell.capacity)];
        let hits = cell.rows.iter().map(|row| {
            let text = figure(row.hits, 2);
            if row.hits >= cell.best() - 0.005 && !row.is_aside() { format!("**{text}**") } else { text }
        });
        table.row(place.into_iter().chain(hits).chain([figure(cell.belady, 2)]));
    }
    let workloads = cells
        .chunk_by(|one, other| one.workload == other.workload)
        .map(|of| format!("{}: {} requests of {} keys", of[0].workload, of[0].requests, of[0].distinct));
    format!("## {}\n\n{}.\n\n{table}", capitalized(group.title()), workloads.collect::<Vec<_>>().join("; "))
}

/// How far each contestant is from the best of each cell.
pub(super) fn regrets(cells: &[&Cell]) -> Table {
    let mut table = Table::new(["cache", "mean hit %", "mean regret", "worst regret", "cells"]);
    for row in &cells[0].rows {
        let regrets: Vec<_> = cells.iter().map(|cell| cell.regret(row.name)).filter(|it| !it.is_nan()).collect();
        let hits = cells.iter().flat_map(|cell| &cell.rows).filter(|it| it.name == row.name && !it.hits.is_nan());
        table.row([
            row.name.to_owned(),
            figure(mean(hits.map(|row| row.hits)), 2),
            figure(mean(regrets.iter().copied()), 2),
            figure(greatest(regrets.iter().copied()), 2),
            regrets.len().to_string(),
        ]);
    }
    table
}

pub(super) fn lines(cells: &[Cell]) -> Lines {
    let line = |(at, name, ours, aside): (usize, &'static str, bool, bool)| Line {
        name,
        ours,
        aside,
        points: cells.iter().map(|cell| (cell.percent, cell.rows[at].hits)).collect(),
    };
    let rows = cells[0].rows.iter().enumerate();
    let mut lines: Vec<_> = rows.map(|(at, row)| line((at, row.name, row.role.is_ours(), row.is_aside()))).collect();
    let clairvoyant = cells.iter().map(|cell| (cell.percent, cell.belady)).collect();
    lines.push(Line { name: "Belady", ours: false, aside: true, points: clairvoyant });
    let Cell { workload, requests, distinct, .. } = &cells[0];
    Lines {
        title: format!("Hit ratio: {workload}, {requests} requests of {distinct} keys"),
        x: "capacity in percent of the distinct keys",
        y: "hits in percent",
        lines,
    }
}

/// The marks of the memory tier, for the policy that is judged.
pub(super) fn marks(cells: &[Cell]) -> Vec<Mark> {
    let judged = |group: Option<Group>| -> Vec<f64> {
        let cells = cells.iter().filter(|cell| group.is_none_or(|group| cell.group == group));
        let name = |cell: &Cell| cell.rows.iter().find(|row| row.role == Role::Judged).map(|row| row.name);
        cells.filter_map(|cell| Some(cell.regret(name(cell)?))).collect()
    };
    let mut marks: Vec<_> = Group::ALL
        .into_iter()
        .map(|group| {
            let bound = if group == Group::Loops { 2.0 } else { 1.0 };
            Mark::new(
                format!("mean regret, {}, in points", group.title()),
                mean(judged(Some(group))),
                Bound::AtMost(bound),
            )
        })
        .collect();
    marks.push(Mark::new("worst regret, in points", greatest(judged(None)), Bound::AtMost(5.0)));
    marks
}

fn capitalized(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}
