//! Reading, and asking for the right to load.

use std::time::Duration;

use super::{OneOrMany, Scope};
use crate::{
    address::Address,
    entry::{Entry, Meta},
    error::Result,
    version::{Sequence, Version},
};

/// Reads entries.
#[derive(Clone, Debug)]
pub struct Get {
    /// What to read.
    pub items: OneOrMany<GetItem>,
    /// What to do about the ones that are missing.
    pub on_miss: OnMiss,
    /// What is asked of every layer.
    pub scope: Scope,
}

/// One key to read.
#[derive(Clone, Debug)]
pub struct GetItem {
    /// Which entry.
    pub address: Address,
    /// Treats this version as missing: the reader could not open it.
    pub unless: Option<Version>,
    /// The id that a lease on it is to have: a nonce of the one who asks, never given before and not zero.
    ///
    /// Asked again under the id of the lease that stands, a store grants that lease once more, renewed: an attempt that
    /// is repeated does not find the key busy with its own lease, and a lease whose answer was lost can be
    /// [released](super::TouchKind::Release). A store that knows nothing of it chooses the id. Default: the store's choice.
    pub lease: Option<LeaseId>,
}

impl GetItem {
    /// Treats a version as missing: the reader could not open it.
    #[must_use]
    pub fn unless(self, version: impl Into<Option<Version>>) -> Self {
        Self { unless: version.into(), ..self }
    }

    /// Names the lease that may be granted.
    #[must_use]
    pub fn under(self, lease: LeaseId) -> Self {
        Self { lease: Some(lease), ..self }
    }
}

impl From<Address> for GetItem {
    fn from(address: Address) -> Self {
        Self { address, unless: None, lease: None }
    }
}

/// What a read does about a missing key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnMiss {
    /// Answers [`Lookup::Miss`].
    #[default]
    Report,
    /// Answers [`Lookup::Leased`] to one caller and [`Lookup::Busy`] to the others.
    Lease,
    /// Like `Lease`, but a busy key is waited for until its lease ends or the deadline passes; then it is looked up again.
    ///
    /// A batch holds no lease while it waits, so that two batches never wait for each other. A key given twice is
    /// answered `Leased` once and then `Busy` with that lease's id.
    Wait,
}

/// The answers to a [`Get`], in the order asked.
pub type Found = OneOrMany<Result<Lookup>>;

/// What a read found. An error is never one of these in disguise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Lookup {
    /// A fresh value.
    Hit(Entry),
    /// A value in its grace; with a lease, this caller is to refresh it.
    Stale(Entry, Option<Lease>),
    /// The source is known to have no such key.
    ///
    /// A record of that which is sealed is answered as a hit, with its bytes: only who opens it can say so.
    Negative(Meta),
    /// Nothing, and no lease was asked for.
    Miss,
    /// Nothing, and this caller is to load it.
    Leased(Lease),
    /// Nothing, and somebody else is loading it.
    ///
    /// With the id of its lease, if what that load brings is good enough for a caller who asks now: no tag or clear
    /// of the space came since the load began.
    Busy(Option<LeaseId>),
}

impl Lookup {
    /// Makes the answer of an entry that is fresh: what every store answers with.
    ///
    /// A negative record is told apart, unless it is sealed.
    pub fn fresh(entry: Entry) -> Self {
        let content = &entry.meta.content;
        if content.negative && !content.sealed { Self::Negative(entry.meta) } else { Self::Hit(entry) }
    }
}

/// The right to fill one missing key.
///
/// A lease lives for its `ttl` and is renewed by [`TouchKind::Renew`](super::TouchKind::Renew). Removing or setting the
/// key ends it; a fill that comes later is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which lease; a nonce, so that a repeated fill is recognised as its own.
    pub id: LeaseId,
    /// The space's sequence when it was granted.
    pub sequence: Sequence,
    /// How long it lives unless it is renewed: two heartbeats.
    pub ttl: Duration,
}

/// The nonce of a [`Lease`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId(pub u64);

impl LeaseId {
    /// Draws an id to ask for a lease under: never zero, and out of 2^64, so that no two askers have the same.
    pub fn draw() -> Self {
        Self(fastrand::u64(1..))
    }
}

impl Get {
    /// Creates a read of one key that reports a miss.
    pub fn one(address: Address) -> Self {
        Self { items: OneOrMany::One(address.into()), on_miss: OnMiss::Report, scope: Scope::default() }
    }
}
