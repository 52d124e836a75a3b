//! What the nodes agree on about keyspaces: which there are, and how they are defined.
//!
//! `ledger` has the records and says which of two wins, without anything else; `spread` tells the others and hears them.

mod ledger;
mod spread;
mod status;

pub use self::status::KeySpaceStatus;
pub(crate) use self::{
    ledger::{Ledger, MOST_KEYSPACES},
    spread::{keep_agreeing, meet},
};

/// What became of which keyspaces.
pub(crate) type Changes = Vec<(memstache_core::KeyspaceName, crate::engine::KeySpaceChange)>;
