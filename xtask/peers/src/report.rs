//! Tables in Markdown, and the marks that memstache sets itself.

use std::fmt;

/// A table; its first column is text, the others are numbers.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![head.into_iter().map(Into::into).collect()] }
    }

    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
        };
        for (number, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let width = width(column);
                if column == 0 { write!(f, "| {cell:<width$} |")? } else { write!(f, " {cell:>width$} |")? }
            }
            writeln!(f)?;
            if number == 0 {
                write!(f, "| {} |", "-".repeat(width(0)))?;
                (1..row.len()).try_for_each(|column| write!(f, " {}: |", "-".repeat(width(column) - 1)))?;
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// A figure to one digit, or a dash where there is none.
pub(crate) fn figure(value: f64, digits: usize) -> String {
    if value.is_nan() { "–".to_owned() } else { format!("{value:.digits$}") }
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

/// A figure with its mark.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) what: String,
    pub(crate) figure: f64,
    pub(crate) bound: Bound,
}

impl Mark {
    pub(crate) fn new(what: impl Into<String>, figure: f64, bound: Bound) -> Self {
        Self { what: what.into(), figure, bound }
    }

    /// `None` if it was not measured.
    pub(crate) fn met(&self) -> Option<bool> {
        (!self.figure.is_nan()).then_some(match self.bound {
            Bound::AtLeast(bound) => self.figure >= bound,
            Bound::AtMost(bound) => self.figure <= bound,
        })
    }
}

pub(crate) fn marks_table(marks: &[Mark]) -> Table {
    let mut table = Table::new(["figure", "measured", "mark", "met"]);
    for mark in marks {
        let met = match mark.met() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not measured",
        };
        table.row([mark.what.clone(), figure(mark.figure, 2), mark.bound.to_string(), met.to_owned()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(["cache", "Mops/s"]);
        table.row(["memstache", "3.00"]);
        table.row(["é", "–"]);
        let expected =
            "| cache     | Mops/s |\n| --------- | -----: |\n| memstache |   3.00 |\n| é         |      – |\n";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn marks_are_met_missed_or_not_measured() {
        let met = |figure, bound| Mark::new("x", figure, bound).met();
        assert_eq!(met(1.0, Bound::AtLeast(1.0)), Some(true));
        assert_eq!(met(0.99, Bound::AtLeast(1.0)), Some(false));
        assert_eq!(met(110.0, Bound::AtMost(110.0)), Some(true));
        assert_eq!(met(110.1, Bound::AtMost(110.0)), Some(false));
        assert_eq!(met(f64::NAN, Bound::AtMost(110.0)), None);
        let table = marks_table(&[Mark::new("x", 0.5, Bound::AtLeast(0.85))]).to_string();
        assert!(table.contains("| x      |     0.50 | ≥ 0.85 |  NO |"), "{table}");
    }
}
