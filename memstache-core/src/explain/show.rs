//! Explanations for people.

use std::{fmt, time::Duration};

use super::{EntryExplained, Explanation, TierExplained};
use crate::{cache::Outcome, request::Reason};

/// In one line: `hit by near`, `miss: in memory it has expired`, and so on, then what each tier holds.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.outcome, &self.tier) {
            (Some(outcome), Some(tier)) => write!(f, "{} by {tier}", outcome.as_str())?,
            (Some(outcome), None) => f.write_str(outcome.as_str())?,
            (None, _) => f.write_str("error")?,
        }
        let why = self.tiers.iter().filter(|tier| tier.reason.is_some());
        for (at, tier) in why.enumerate() {
            f.write_str(if at == 0 { ": " } else { "; " })?;
            tier.why(f)?;
        }
        if let Some(error) = self.error {
            write!(f, " ({})", error.as_str())?;
        }
        let held = self.tiers.iter().filter_map(|tier| Some((tier, tier.entry.as_ref()?)));
        for (tier, entry) in held {
            write!(f, "; {} holds {entry}", tier.tier)?;
        }
        if self.tiers.iter().any(|tier| tier.loading) {
            f.write_str("; it is being loaded")?;
        }
        Ok(())
    }
}

impl TierExplained {
    fn why(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {} it {}", self.tier, self.reason.map_or("is", Reason::as_words))
    }
}

impl fmt::Display for EntryExplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.negative { "a record that there is none" } else { "a value" };
        write!(f, "{what} of {} bytes, written {} ago", self.bytes, Span(self.age))?;
        match self.fresh_for {
            None => f.write_str(", fresh for ever"),
            Some(Duration::ZERO) if self.dead_for.is_zero() => {
                write!(f, ", stale for another {}", Span(self.served_for.unwrap_or_default()))
            }
            Some(Duration::ZERO) => write!(f, ", dead for {}", Span(self.dead_for)),
            Some(left) => write!(f, ", fresh for {}", Span(left)),
        }
    }
}

/// A span that is no longer than it must be.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(10) { write!(f, "{:?}", self.0) } else { write!(f, "{} s", self.0.as_secs()) }
    }
}

impl Outcome {
    /// Returns the outcome's name in lower case, as output for machines shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Negative => "negative",
            Self::Miss => "miss",
        }
    }
}
