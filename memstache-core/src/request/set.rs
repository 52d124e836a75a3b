//! Writing, plainly or under a condition.

use super::{LeaseId, OneOrMany, Scope};
use crate::{address::Address, entry::NewEntry, error::Result, version::Version};

/// Writes entries.
#[derive(Clone, Debug)]
pub struct Set {
    /// What to write.
    pub items: OneOrMany<SetItem>,
    /// What is asked of every layer.
    pub scope: Scope,
}

/// One entry to write.
#[derive(Clone, Debug)]
pub struct SetItem {
    /// Where.
    pub address: Address,
    /// What.
    pub entry: NewEntry,
    /// On which condition.
    pub when: When,
}

/// The condition of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// Always; ends every lease on the key.
    #[default]
    Always,
    /// Only if the key has no live value.
    IfAbsent,
    /// Only if the key has a live value.
    IfPresent,
    /// Only if the live value has this version.
    IfVersion(Version),
    /// Only while this lease stands; ends it.
    IfLease(LeaseId),
}

/// The answers to a [`Set`], in the order asked.
pub type Stored = OneOrMany<Result<Written>>;

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Written {
    /// The entry is stored under this version.
    Stored(Version),
    /// The condition did not hold; nothing changed.
    Refused,
    /// The store is out of reach; the value is kept in the near cache only, unverified. Only where a near cache is told
    /// to answer so.
    NearOnly,
}

impl Set {
    /// Creates an unconditional write of one entry.
    pub fn one(address: Address, entry: NewEntry) -> Self {
        let item = SetItem { address, entry, when: When::Always };
        Self { items: OneOrMany::One(item), scope: Scope::default() }
    }
}
