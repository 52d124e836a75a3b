//! What the figures must be.

use std::fmt;

#[cfg(feature = "otlp")]
use crate::collected;
use crate::{
    recorded, refused,
    row::Row,
    served::{BARE, BOXED, FULL, NEAR, WHOLE},
};

/// What a stack of layers may add to the bare store, in bare boxed calls.
const STACK: f64 = 2.5;

/// What recording may make of a call.
const TELEMETRY: f64 = 1.2;

/// What a call that is not served may take of one that is: as much, within what two equal calls differ by here.
const UNSERVED: f64 = 1.1;

pub(crate) struct Mark {
    pub(crate) what: String,
    measured: f64,
    most: f64,
}

impl Mark {
    fn new(what: impl Into<String>, measured: f64, most: f64) -> Self {
        Self { what: what.into(), measured, most }
    }

    pub(crate) fn holds(&self) -> bool {
        self.measured <= self.most
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {:.2} | {:.2} |", self.what, self.measured, self.most)
    }
}

pub(crate) fn of(rows: &[Row]) -> Vec<Mark> {
    let row = |name: &str| rows.iter().find(|row| row.name == name).expect("a row that was measured");
    let full = row(FULL);
    let mut marks = vec![
        Mark::new(
            format!("{FULL}: above the bare store, in bare boxed calls"),
            full.added(row(BARE), row(BOXED)),
            STACK,
        ),
        Mark::new(
            format!("{}: over the same unrecorded", recorded::WHOLE),
            row(recorded::WHOLE).over(row(WHOLE)),
            TELEMETRY,
        ),
        Mark::new(
            format!("{}: over the same unrecorded", recorded::NEAR),
            row(recorded::NEAR).over(row(NEAR)),
            TELEMETRY,
        ),
    ];
    #[cfg(feature = "otlp")]
    for name in [collected::HANGING, collected::DEAD] {
        let over = row(name).over(row(collected::QUICK));
        marks.push(Mark::new(format!("{name}: over one that answers"), over, UNSERVED));
    }
    for name in refused::ALL {
        let (unserved, served) = (row(name), full);
        marks.push(Mark::new(format!("{name}: time over a served call's"), unserved.over(served), UNSERVED));
        let allocations = unserved.allocations() as f64 / served.allocations() as f64;
        marks.push(Mark::new(format!("{name}: allocations over a served call's"), allocations, 1.0));
    }
    marks
}
