//! Policies by name, for configuration.

use std::{fmt, str::FromStr};

use super::{AnyPolicy, Fifo, Lfu, Lru, Random, S3Fifo, Sieve, TinyLfu};
use crate::error::{Error, Result};

/// The name of an eviction policy.
///
/// ```
/// use memstache_core::PolicyKind;
///
/// let kind: PolicyKind = "s3-fifo".parse()?;
/// assert_eq!(kind, PolicyKind::S3Fifo);
/// assert_eq!(kind.to_string(), "s3-fifo");
/// assert!("mru".parse::<PolicyKind>().is_err());
///
/// let policy = kind.policy(64 << 20, 42);
/// # let _ = policy;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyKind {
    /// [`Lru`], `lru`: what was not used for the longest time goes.
    Lru,
    /// [`Lfu`], `lfu`: what was used least often goes, old favourites too.
    Lfu,
    /// [`Fifo`], `fifo` or `time-based`: what came first goes.
    Fifo,
    /// [`Random`], `random`: anything goes.
    Random,
    /// [`Sieve`], `sieve`: what was not used since a hand came by goes.
    Sieve,
    /// [`S3Fifo`], `s3-fifo`: newcomers that were not used twice go first.
    S3Fifo,
    /// [`TinyLfu`], `tiny-lfu`: who is asked for less often goes, or does not come in.
    TinyLfu,
}

impl PolicyKind {
    /// All kinds.
    pub const ALL: &[Self] =
        &[Self::Lru, Self::Lfu, Self::Fifo, Self::Random, Self::Sieve, Self::S3Fifo, Self::TinyLfu];

    /// Returns the kind's name, as configuration has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Lfu => "lfu",
            Self::Fifo => "fifo",
            Self::Random => "random",
            Self::Sieve => "sieve",
            Self::S3Fifo => "s3-fifo",
            Self::TinyLfu => "tiny-lfu",
        }
    }

    /// Creates an empty policy for one shard: given the shard's share of the bytes, and a seed that nobody can guess.
    pub fn policy(self, share_bytes: usize, seed: u64) -> AnyPolicy {
        match self {
            Self::Lru => AnyPolicy::Lru(Lru::new()),
            Self::Lfu => AnyPolicy::Lfu(Lfu::new()),
            Self::Fifo => AnyPolicy::Fifo(Fifo::new()),
            Self::Random => AnyPolicy::Random(Random::new(seed)),
            Self::Sieve => AnyPolicy::Sieve(Sieve::new()),
            Self::S3Fifo => AnyPolicy::S3Fifo(S3Fifo::new()),
            Self::TinyLfu => AnyPolicy::TinyLfu(TinyLfu::new(share_bytes, seed)),
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PolicyKind {
    type Err = Error;

    /// Parses a name, or `time-based` for [`Fifo`](Self::Fifo).
    fn from_str(text: &str) -> Result<Self> {
        if text == "time-based" {
            return Ok(Self::Fifo);
        }
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            Error::invalid("eviction policy", format_args!("one of {}", names.join(", ")), format_args!("{text:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_as_they_are_shown() {
        for kind in PolicyKind::ALL {
            assert_eq!(kind.to_string().parse::<PolicyKind>().unwrap(), *kind);
            let shown = format!("{:?}", kind.policy(1 << 20, 1));
            assert!(shown.starts_with(&format!("{kind:?}(")), "{shown}");
        }
        assert_eq!("time-based".parse::<PolicyKind>().unwrap(), PolicyKind::Fifo);
        assert_eq!(format!("{:>8}", PolicyKind::Lru), "     lru");
    }

    #[test]
    fn a_wrong_name_is_told_the_right_ones() {
        for wrong in ["", "LRU", "s3fifo", "lru "] {
            let error = wrong.parse::<PolicyKind>().unwrap_err().to_string();
            assert!(error.contains("one of lru, lfu, fifo, random, sieve, s3-fifo, tiny-lfu"), "{error}");
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
    }
}
