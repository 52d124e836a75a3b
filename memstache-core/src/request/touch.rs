//! Changing how long something lives, without its value.

use super::{LeaseId, OneOrMany, Scope};
use crate::{address::Address, error::Result, lifetime::Lifetime};

/// Looks at, prolongs or ends entries and leases.
#[derive(Clone, Debug)]
pub struct Touch {
    /// What to touch.
    pub items: OneOrMany<TouchItem>,
    /// What is asked of every layer.
    pub scope: Scope,
}

/// One key to touch.
#[derive(Clone, Debug)]
pub struct TouchItem {
    /// Which.
    pub address: Address,
    /// How.
    pub kind: TouchKind,
}

/// What a touch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TouchKind {
    /// Nothing but look whether there is a live value: fresh, and not a negative record.
    Probe,
    /// Counts as a read: extends a sliding entry.
    Slide,
    /// Gives the live entry this lifetime from now on, window and grace included; its value, version, sequence and tags
    /// stay.
    Live(Lifetime),
    /// Renews a lease for its ttl.
    Renew(LeaseId),
    /// Ends a lease without a fill, so that another caller may load at once.
    Release(LeaseId),
}

/// The answers to a [`Touch`], in the order asked: whether the entry is live, or the lease stood.
pub type Touched = OneOrMany<Result<bool>>;

impl Touch {
    /// Creates a touch of one key.
    pub fn one(address: Address, kind: TouchKind) -> Self {
        Self { items: OneOrMany::One(TouchItem { address, kind }), scope: Scope::default() }
    }
}
