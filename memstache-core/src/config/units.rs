//! Spans and sizes as people write them.

use std::{fmt, time::Duration};

const SPANS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
const SIZES: [(&str, u64); 11] = [
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
    ("", 1),
];

/// Reads a span: `250ms`, `5s`, `1m 30s`, `2h`, `7d`, `4w`, and `0`.
pub(super) fn span(text: &str) -> Option<Duration> {
    if text.trim() == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut millis) = (text.trim(), 0u64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = number(rest)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (_, scale) = SPANS.into_iter().find(|(unit, _)| *unit == &after[..end])?;
        millis = millis.checked_add(number.checked_mul(scale)?)?;
        rest = after[end..].trim_start();
    }
    Some(Duration::from_millis(millis))
}

/// Reads a size: `65536`, `64 KiB`, `500 kB`, `2GiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = number(text.trim())?;
    let (_, scale) = SIZES.into_iter().find(|(known, _)| *known == unit)?;
    number.checked_mul(scale)
}

fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    Some((text[..end].replace('_', "").parse().ok()?, text[end..].trim_start()))
}

/// A span as it is read.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let whole = SPANS.into_iter().rev().find(|(_, scale)| millis > 0 && millis.is_multiple_of(*scale));
        match whole {
            Some((unit, scale)) => write!(f, "{}{unit}", millis / scale),
            None => f.write_str("0"),
        }
    }
}

/// A size as it is read.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = ["TiB", "GiB", "MiB", "KiB"];
        let scale = |unit: &str| SIZES.into_iter().find(|(known, _)| *known == unit).map_or(1, |(_, scale)| scale);
        match binary.into_iter().find(|unit| self.0 > 0 && self.0.is_multiple_of(scale(unit))) {
            Some(unit) => write!(f, "{} {unit}", self.0 / scale(unit)),
            None => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_read() {
        let read = |text| span(text).map(|span| span.as_millis());
        assert_eq!(
            [read("250ms"), read("5s"), read(" 1m 30s"), read("1h30m")].map(Option::unwrap),
            [250, 5000, 90_000, 5_400_000]
        );
        assert_eq!(
            (read("0"), read("2d"), read("1w"), read("1_000 s")),
            (Some(0), Some(172_800_000), Some(604_800_000), Some(1_000_000))
        );
        for wrong in ["", "5", "s", "-5s", "5 S", "5x", "1.5s", "5s 3", "99999999999999999999s", "9999999999999999999w"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(
            [size("65_536"), size("64 KiB"), size("64KiB"), size("1 kB"), size("3 GB")].map(Option::unwrap),
            [65_536, 65_536, 65_536, 1000, 3_000_000_000]
        );
        for wrong in ["", "KiB", "1 kib", "-1", "1.5 MiB", "99999999999 TiB", "4 MiB x"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millis: u32, bytes: u32, shift in 0..30u32) {
            let (by, bytes) = (Duration::from_millis(millis.into()), u64::from(bytes) << shift);
            prop_assert_eq!(span(&Span(by).to_string()), Some(by));
            prop_assert_eq!(size(&Size(bytes).to_string()), Some(bytes));
        }
    }
}
