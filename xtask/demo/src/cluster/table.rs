//! The tables: who did what while nobody came or went, and what each phase cost.

use std::{fmt::Write as _, time::Duration};

use indicatif::HumanCount;

use super::evidence::{Agreed, Evidence, Row, Steady};

/// Shows the nodes side by side, and all together.
pub(super) fn nodes(steady: &Steady) -> String {
    let Steady { tally, nodes, distinct, .. } = steady;
    let row = |name: &str, of: &dyn Fn(usize) -> u64| {
        let counts: Vec<u64> = (0..nodes.len()).map(of).collect();
        let shown = counts.iter().copied().chain([counts.iter().sum()]).map(count);
        [name.to_owned()].into_iter().chain(shown).collect::<Vec<_>>()
    };
    let mut share =
        nodes.iter().map(|node| format!("{:.1} %", 100.0 * node.distinct as f64 / (*distinct).max(1) as f64));
    let seen = |number: usize| tally.nodes.get(&number);
    let all = |text: String| vec![String::new(); nodes.len()].into_iter().chain([text]);
    let named = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        [name.to_owned()].into_iter().chain(cells).collect::<Vec<_>>()
    };
    let ((local50, remote50), (local99, remote99)) = (tally.hits(0.50), tally.hits(0.99));
    aligned(&[
        named("steady", &mut nodes.iter().map(|node| node.name.clone()).chain(["all".to_owned()])),
        row("requests", &|number| seen(number).map_or(0, |node| node.requests)),
        named("distinct products asked for", &mut all(count(tally.asked.len() as u64))),
        row("loads (database queries)", &|number| nodes[number].loads),
        named("share of the products", &mut share),
        row("hits at the owner", &|number| seen(number).map_or(0, |node| node.local.len() as u64)),
        row("hits by one hop to the owner", &|number| seen(number).map_or(0, |node| node.remote.len() as u64)),
        named("hit at the owner p50", &mut all(millis(local50))),
        named("hit at the owner p99", &mut all(millis(local99))),
        named("hit by one hop p50", &mut all(millis(remote50))),
        named("hit by one hop p99", &mut all(millis(remote99))),
    ])
}

/// Shows a phase each.
pub(super) fn phases(seen: &Evidence) -> String {
    let head = ["phase", "nodes", "requests", "errors", "moved", "loads", "p50", "p99", "views agree after"];
    let row = |row: &Row| {
        vec![
            row.what.clone(),
            row.nodes.to_string(),
            count(row.tally.requests()),
            count(row.tally.errors),
            count(row.tally.moved),
            count(row.loads),
            millis(row.tally.latency(0.50)),
            millis(row.tally.latency(0.99)),
            match row.agreed {
                Agreed::Before => "-".to_owned(),
                Agreed::After(took) => format!("{:.2} s", took.as_secs_f64()),
                Agreed::Never => "never".to_owned(),
            },
        ]
    };
    let head = head.map(str::to_owned).to_vec();
    aligned(&[head].into_iter().chain(seen.phases.iter().map(row)).collect::<Vec<_>>())
}

/// Names to the left, numbers to the right, a line under the head.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let done = if column == 0 { write!(line, "  {cell:<width$}") } else { write!(line, "   {cell:>width$}") };
            done.expect("a string takes everything");
        }
        out.push('\n');
        out.push_str(line.trim_end());
        if number == 0 {
            let all = widths.iter().sum::<usize>() + 3 * widths.len().saturating_sub(1);
            write!(out, "\n  {}", "-".repeat(all)).expect("a string takes everything");
        }
    }
    out
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

fn millis(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::evidence::tests::good;

    #[test]
    fn the_nodes_are_shown_side_by_side() {
        let expected = "
  steady                         node-1   node-2   node-3       all
  -----------------------------------------------------------------
  requests                          334      333      333     1,000
  distinct products asked for                                    10
  loads (database queries)            4        3        3        10
  share of the products          40.0 %   30.0 %   30.0 %
  hits at the owner                 330        0        0       330
  hits by one hop to the owner        0      330      330       660
  hit at the owner p50                                      0.50 ms
  hit at the owner p99                                      0.50 ms
  hit by one hop p50                                        0.75 ms
  hit by one hop p99                                        1.00 ms";
        assert_eq!(nodes(&good().steady), expected);
    }

    #[test]
    fn each_phase_has_a_row() {
        let expected = "
  phase           nodes   requests   errors   moved   loads       p50       p99   views agree after
  -------------------------------------------------------------------------------------------------
  steady              3      1,000        0       0      10   0.75 ms   1.00 ms                   -
  node-3 killed       2      1,500        0       2      25   0.75 ms   1.00 ms              4.21 s
  node-4 joined       3      1,200        0       0       5   0.75 ms   1.00 ms              0.73 s";
        assert_eq!(phases(&good()), expected);
    }
}
