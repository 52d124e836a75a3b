//! Asking what a stack holds of a key, and why it would not answer with it.

use std::{borrow::Cow, fmt};

use super::{OneOrMany, Scope};
use crate::{address::Address, entry::Entry, error::Result};

/// Asks every tier what it holds, without changing anything: nothing is touched, leased or counted as a read.
#[derive(Clone, Debug)]
pub struct Explain {
    /// Which keys.
    pub items: OneOrMany<Address>,
    /// What is asked of every layer.
    pub scope: Scope,
}

/// The answers to an [`Explain`], in the order asked: the tiers from the caller down.
pub type Explained = OneOrMany<Result<Vec<TierReport>>>;

/// What one tier holds of one key.
///
/// With a reason, it answers no read, whatever it holds. Without a reason and without an entry, it has a live value of which
/// it cannot say more.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TierReport {
    /// The tier's name, such as `near` or `memory`.
    pub tier: Cow<'static, str>,
    /// Why it answers no read.
    pub reason: Option<Reason>,
    /// What it holds, dead or alive. Its value goes up so that the layers above can try to open it, and no further.
    pub entry: Option<Entry>,
    /// Whether somebody holds the lease on the key.
    pub loading: bool,
}

impl TierReport {
    /// Reports an entry that answers reads as far as its lifetime allows.
    pub fn holds(tier: impl Into<Cow<'static, str>>, entry: Entry) -> Self {
        Self { tier: tier.into(), reason: None, entry: Some(entry), loading: false }
    }

    /// Reports a live value of which no more is known.
    pub fn live(tier: impl Into<Cow<'static, str>>) -> Self {
        Self { tier: tier.into(), reason: None, entry: None, loading: false }
    }

    /// Reports why nothing is answered.
    pub fn absent(tier: impl Into<Cow<'static, str>>, reason: Reason) -> Self {
        Self { tier: tier.into(), reason: Some(reason), entry: None, loading: false }
    }

    /// Says whether somebody holds the lease on the key.
    #[must_use]
    pub fn with_loading(mut self, loading: bool) -> Self {
        self.loading = loading;
        self
    }
}

/// Why a tier does not answer a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It was never stored here, since the tier began.
    NeverStored,
    /// It is not here: never stored, or gone for so long that the tier has forgotten why.
    NotHeld,
    /// It was removed; or, of a copy, the original changed.
    Removed,
    /// Its time was over.
    Expired,
    /// One of its tags was invalidated.
    Tag,
    /// Its keyspace or its tenant was cleared.
    Cleared,
    /// It went for want of room, or was not let in.
    Evicted,
    /// It was last confirmed longer ago than `max_staleness` allows.
    TooOld,
    /// It was stored under another schema.
    Schema,
    /// It cannot be opened: tampered with, of another format, under a key or compression that is not here.
    Rejected,
    /// It is a copy, and the line that would tell of changes is cut.
    Unverified,
    /// The tier could not be asked.
    Unavailable,
}

impl Reason {
    /// Returns the reason's name in lower case, as output for machines shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverStored => "never_stored",
            Self::NotHeld => "not_held",
            Self::Removed => "removed",
            Self::Expired => "expired",
            Self::Tag => "tag",
            Self::Cleared => "cleared",
            Self::Evicted => "evicted",
            Self::TooOld => "too_old",
            Self::Schema => "schema",
            Self::Rejected => "rejected",
            Self::Unverified => "unverified",
            Self::Unavailable => "unavailable",
        }
    }

    /// Returns the reason as a part of a sentence.
    pub(crate) const fn as_words(self) -> &'static str {
        match self {
            Self::NeverStored => "was never stored",
            Self::NotHeld => "is not held: never stored, or gone too long ago to say why",
            Self::Removed => "was removed",
            Self::Expired => "has expired",
            Self::Tag => "was invalidated by a tag",
            Self::Cleared => "was cleared with its keyspace or tenant",
            Self::Evicted => "was evicted",
            Self::TooOld => "was confirmed too long ago",
            Self::Schema => "has another schema",
            Self::Rejected => "cannot be opened",
            Self::Unverified => "is an unverified copy",
            Self::Unavailable => "could not be asked for",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Explain {
    /// Asks about one key.
    pub fn one(address: Address) -> Self {
        Self { items: OneOrMany::One(address), scope: Scope::default() }
    }
}
