//! Spans of time as Go writes them.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

/// A span as Go's `Duration.String` writes it: `5m0s`, `250ms`, `1.5s`, `0s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => decimal(f, nanos, 1_000, "µs"),
            1_000_000..1_000_000_000 => decimal(f, nanos, 1_000_000, "ms"),
            _ => {
                let minutes = self.0.as_secs() / 60;
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                decimal(f, nanos - u128::from(minutes) * 60_000_000_000, 1_000_000_000, "s")
            }
        }
    }
}

/// Writes a number of units without zeros at the end of its fraction.
fn decimal(f: &mut fmt::Formatter<'_>, nanos: u128, unit: u128, name: &str) -> fmt::Result {
    let (whole, fraction) = (nanos / unit, nanos % unit);
    if fraction == 0 {
        return write!(f, "{whole}{name}");
    }
    let digits = unit.ilog10() as usize;
    let fraction = format!("{fraction:0digits$}");
    write!(f, "{whole}.{}{name}", fraction.trim_end_matches('0'))
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_go_writes_them() {
        // By Go's own documentation and its tests of time.Duration.
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (250_000_000, "250ms"),
            (3_300_000_000, "3.3s"),
            (300_000_000_000, "5m0s"),
            (305_000_000_000, "5m5s"),
            (305_001_000_000, "5m5.001s"),
            (18_365_001_000_000, "5h6m5.001s"),
            (3_600_000_000_000, "1h0m0s"),
            (480_000_000_001, "8m0.000000001s"),
            (86_400_000_000_000, "24h0m0s"),
        ] {
            assert_eq!(Span(Duration::from_nanos(nanos)).to_string(), text);
        }
        assert_eq!(Span(Duration::MAX).to_string(), "5124095576030431h0m15.999999999s");
    }
}
