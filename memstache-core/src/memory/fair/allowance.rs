//! What one tenant may hold.

use crate::error::{Error, ErrorKind, Result};

const MAX_WEIGHT: u32 = 1_000_000;

/// What a tenant may hold of a store: see [`FairShare`](super::FairShare).
///
/// ```
/// use memstache_core::{Allowance, WhenOver};
///
/// // Three shares where others have one, and never more than 16 MiB.
/// let gold = Allowance::new().with_weight(3).with_max_bytes(16 << 20).with_when_over(WhenOver::EvictOwn);
/// assert_eq!((gold.weight, gold.max_entries), (3, usize::MAX));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowance {
    /// How many shares it has where a tenant of weight 1 has one, from 1 to 1,000,000. Default: 1.
    pub weight: u32,
    /// Bytes that it holds at most: keys, values, tags and overhead. At least 1. Default: no limit of its own.
    pub max_bytes: usize,
    /// Entries that it holds at most. At least 1. Default: no limit of its own.
    pub max_entries: usize,
    /// What happens to a write that would pass one of its limits. Default: [`WhenOver::EvictOwn`].
    pub when_over: WhenOver,
}

/// What happens to a write by which a tenant would hold more than it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenOver {
    /// The oldest entries of the tenant go until it fits.
    #[default]
    EvictOwn,
    /// It is refused: [`ErrorKind::Overloaded`].
    Refuse,
}

impl Allowance {
    /// Allows one share and no more limits.
    pub const fn new() -> Self {
        Self { weight: 1, max_bytes: usize::MAX, max_entries: usize::MAX, when_over: WhenOver::EvictOwn }
    }

    /// Sets the [weight](Self::weight).
    #[must_use]
    pub const fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Bounds the [bytes](Self::max_bytes).
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Bounds the [entries](Self::max_entries).
    #[must_use]
    pub const fn with_max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }

    /// Sets what happens [over a limit](Self::when_over).
    #[must_use]
    pub const fn with_when_over(mut self, when_over: WhenOver) -> Self {
        self.when_over = when_over;
        self
    }

    /// Names all that is out of its limits.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = [
            (!(1..=MAX_WEIGHT).contains(&self.weight))
                .then(|| Error::invalid("weight", format_args!("1 to {MAX_WEIGHT}"), self.weight)),
            (self.max_bytes == 0).then(|| Error::invalid("max_bytes", "at least 1", 0)),
            (self.max_entries == 0).then(|| Error::invalid("max_entries", "at least 1", 0)),
        ];
        let wrong: Vec<String> = wrong.into_iter().flatten().map(|error| error.to_string()).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Error::new(ErrorKind::Invalid, wrong.join("; "))) }
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new()
    }
}
