//! What became of a key, as an operator wants to read it.

mod judge;
mod serial;
mod show;

use std::{borrow::Cow, time::Duration};

pub(crate) use self::judge::Expected;
use crate::{
    cache::Outcome,
    entry::{Encoding, FormatId, Schema},
    error::ErrorKind,
    request::Reason,
    version::Version,
};

/// What a read of one key would come to, and why; made by [`Cache::explain`](crate::Cache::explain).
///
/// It holds neither key nor value. `Display` is for people. It is [`serde::Serialize`]: a map with `outcome`, `tier`,
/// `reason`, `error` and `tiers`; spans are whole milliseconds in fields that end with `_ms`, what is not known is null.
///
/// A tier can only tell what it remembers: the memory store, for one, forgets why entries went after a while, and says
/// [`Reason::NotHeld`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// How a read that accepts stale values would be answered; `None`: with an error.
    pub outcome: Option<Outcome>,
    /// The tier that would answer it.
    pub tier: Option<Cow<'static, str>>,
    /// Why there would be a miss or an error: what the tier says that is closest to the truth.
    pub reason: Option<Reason>,
    /// With which error what is below could not be asked.
    pub error: Option<ErrorKind>,
    /// All tiers, from the caller down.
    pub tiers: Vec<TierExplained>,
}

/// What one tier would do with a read of one key.
///
/// A tier tells its own name, such as `near` or `memory`; what is below the near cache and could not be asked is `store`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierExplained {
    /// The tier's name.
    pub tier: Cow<'static, str>,
    /// How it would answer; `None` for not at all.
    pub outcome: Option<Outcome>,
    /// Why it would not.
    pub reason: Option<Reason>,
    /// What is known of what it holds, dead or alive.
    pub entry: Option<EntryExplained>,
    /// Whether somebody holds the lease on the key, to load it.
    pub loading: bool,
}

/// Ages and lifetimes of an entry, at the time of the explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryExplained {
    /// Which write it is.
    pub version: Version,
    /// How long ago it was written.
    pub age: Duration,
    /// How long ago its authority vouched for it.
    pub confirmed: Duration,
    /// How long it stays fresh: zero if it is not; `None` without an end.
    pub fresh_for: Option<Duration>,
    /// How long it can still be served, as stale in the end: zero if it cannot; `None` without an end.
    pub served_for: Option<Duration>,
    /// How long it has been dead; zero if it is not.
    pub dead_for: Duration,
    /// Its idle window.
    pub sliding: Option<Duration>,
    /// What it took to load.
    pub load_cost: Duration,
    /// Bytes of the value as it is held in this tier, or opened if that could be done.
    pub bytes: usize,
    /// By how many tags it can be invalidated.
    pub tags: usize,
    /// Its format.
    pub format: FormatId,
    /// Its schema.
    pub schema: Option<Schema>,
    /// How it is compressed, as far as it could be opened.
    pub encoding: Encoding,
    /// Whether it is sealed still.
    pub sealed: bool,
    /// Whether it says that the source has no such key.
    pub negative: bool,
}
