//! Removing.

use super::{OneOrMany, Scope};
use crate::{address::Address, error::Result};

/// Removes entries and ends every lease on their keys.
#[derive(Clone, Debug)]
pub struct Remove {
    /// What to remove.
    pub items: OneOrMany<Address>,
    /// What is asked of every layer.
    pub scope: Scope,
}

/// The answers to a [`Remove`], in the order asked: whether there was a live entry.
pub type Removed = OneOrMany<Result<bool>>;

impl Remove {
    /// Creates a removal of one entry.
    pub fn one(address: Address) -> Self {
        Self { items: OneOrMany::One(address), scope: Scope::default() }
    }
}
