//! The outages, for people and for programs.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::cell::{Cell, Seen};
use crate::{screen::say, servers::Version, workspace::Workspace};

const HEAD: [&str; 10] = [
    "cell",
    "plain errors",
    "outage s",
    "healthy after s",
    "recovered after s",
    "loader errors",
    "slowest load s",
    "write errors",
    "reads judged",
    "violations",
];

/// A table in Markdown.
pub(super) fn markdown(outcomes: &[(Cell, Seen)]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(outcomes.iter().map(|(cell, seen)| row(cell, seen)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; HEAD.len()]| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(
            |(at, (cell, width))| if at == 0 { format!(" {cell:<width$} |") } else { format!(" {cell:>width$} |") },
        );
        format!("|{}\n", cells.collect::<String>())
    };
    let rule: String = widths.iter().enumerate().map(|(at, width)| rule(at, *width)).collect();
    let mut lines = rows.iter().map(line);
    format!("\n{}|{rule}\n{}", lines.next().unwrap_or_default(), lines.collect::<String>())
}

fn rule(at: usize, width: usize) -> String {
    if at == 0 { format!(" {} |", "-".repeat(width)) } else { format!(" {}: |", "-".repeat(width - 1)) }
}

fn row(cell: &Cell, seen: &Seen) -> [String; HEAD.len()] {
    let Seen { load, outage, healthy, recovery, .. } = seen;
    let or_dash = |span: Option<u64>| span.map_or_else(|| "–".to_owned(), seconds);
    [
        cell.name(),
        load.plain.errors.to_string(),
        seconds(*outage),
        or_dash(*healthy),
        or_dash(*recovery),
        load.loaded.errors.to_string(),
        seconds(load.loaded.slowest),
        load.writes.errors.to_string(),
        load.judged.to_string(),
        load.violations.to_string(),
    ]
}

fn seconds(millis: u64) -> String {
    format!("{}.{:02}", millis / 1_000, millis % 1_000 / 10)
}

/// Writes both to the target folder.
pub(super) fn write(ws: &Workspace, version: Version, table: &str, outcomes: &[(Cell, Seen)]) -> Result<()> {
    let folder = ws.target.join("chaos");
    let file = folder.join(format!("{}.md", version.name()));
    let cells: Vec<_> = outcomes.iter().map(|(cell, seen)| as_json(cell, seen)).collect();
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, format!("# Outages, {}\n{table}", version.name())))
        .and_then(|()| fs::write(file.with_extension("json"), Value::from(cells).to_string()))
        .with_context(|| format!("{} cannot be written", file.display()))?;
    say(format_args!("written to {}", file.display()));
    Ok(())
}

fn as_json(cell: &Cell, seen: &Seen) -> Value {
    json!({
        "cell": cell.name(),
        "server": cell.version.name(),
        "outage_ms": seen.outage,
        "healthy_after_ms": seen.healthy,
        "recovered_after_ms": seen.recovery,
        "broken": seen.broken(),
        "load": seen.load,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{Topology, fault::Fault},
        *,
    };

    fn outcome() -> (Cell, Seen) {
        let (topology, fault, version) = (Topology::Single, Fault::Kill, Version::Valkey9);
        let cell = Cell { topology, fault, version, span: Duration::from_secs(10), seed: 7 };
        (cell, Seen { outage: 2_345, healthy: None, recovery: Some(60), ..Seen::default() })
    }

    #[test]
    fn the_table_is_markdown() {
        let table = markdown(&[outcome()]);
        let lines: Vec<_> = table.trim().lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "{table}");
        assert!(lines[1].starts_with("| ----------- | -----------: |"), "{table}");
        let cells: Vec<_> = lines[2].split('|').map(str::trim).collect();
        assert_eq!(cells[1..6], ["single kill", "0", "2.34", "–", "0.06"]);
    }

    #[test]
    fn programs_read_the_same() {
        let (cell, seen) = outcome();
        let value = as_json(&cell, &seen);
        assert_eq!(value["server"], "valkey9");
        assert_eq!((&value["outage_ms"], &value["healthy_after_ms"]), (&json!(2_345), &Value::Null));
        assert!(value["broken"].as_array().unwrap().iter().any(|it| it == "plain: no answer at all"), "{value}");
    }
}
