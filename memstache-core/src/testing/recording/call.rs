//! What is written down of one call.

use crate::{
    error::{ErrorKind, Result},
    request::{Lookup, Response, Written},
};

/// One call that passed a [`Recording`](super::Recording) stack; neither names nor values are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The operation's name.
    pub operation: &'static str,
    /// The number of items asked.
    pub items: usize,
    /// How it ended.
    pub ending: Ending,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// Answered, item by item.
    Answered(Vec<Outcome>),
    /// Failed as a whole.
    Failed(ErrorKind),
    /// Dropped by its caller before it was answered.
    Dropped,
}

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A fresh value.
    Hit,
    /// A stale value.
    Stale,
    /// A stale value, and the lease to refresh it.
    StaleLeased,
    /// A negative record.
    Negative,
    /// Nothing.
    Miss,
    /// Nothing, and the lease to load it.
    Leased,
    /// Nothing, and somebody else loads it.
    Busy,
    /// Written.
    Stored,
    /// Not written: the condition did not hold.
    Refused,
    /// Kept in a near cache only.
    NearOnly,
    /// There was an entry to remove, or what was touched is live.
    Done,
    /// There was nothing to remove or to touch.
    Nothing,
    /// Invalidated.
    Invalidated,
    /// Explained.
    Explained,
    /// Failed.
    Failed(ErrorKind),
}

impl Ending {
    pub(super) fn of(answer: &Result<Response>) -> Self {
        match answer {
            Ok(Response::Found(items)) => Self::Answered(items.iter().map(|item| outcome(item, found)).collect()),
            Ok(Response::Stored(items)) => Self::Answered(items.iter().map(|item| outcome(item, stored)).collect()),
            Ok(Response::Removed(items) | Response::Touched(items)) => {
                Self::Answered(items.iter().map(|item| outcome(item, done)).collect())
            }
            Ok(Response::Invalidated(items)) => {
                Self::Answered(items.iter().map(|item| outcome(item, |_| Outcome::Invalidated)).collect())
            }
            Ok(Response::Explained(items)) => {
                Self::Answered(items.iter().map(|item| outcome(item, |_| Outcome::Explained)).collect())
            }
            Err(error) => Self::Failed(error.kind()),
        }
    }
}

fn outcome<T>(item: &Result<T>, good: impl FnOnce(&T) -> Outcome) -> Outcome {
    item.as_ref().map_or_else(|error| Outcome::Failed(error.kind()), good)
}

fn found(lookup: &Lookup) -> Outcome {
    match lookup {
        Lookup::Hit(_) => Outcome::Hit,
        Lookup::Stale(_, None) => Outcome::Stale,
        Lookup::Stale(_, Some(_)) => Outcome::StaleLeased,
        Lookup::Negative(_) => Outcome::Negative,
        Lookup::Miss => Outcome::Miss,
        Lookup::Leased(_) => Outcome::Leased,
        Lookup::Busy(_) => Outcome::Busy,
    }
}

fn stored(written: &Written) -> Outcome {
    match written {
        Written::Stored(_) => Outcome::Stored,
        Written::Refused => Outcome::Refused,
        Written::NearOnly => Outcome::NearOnly,
    }
}

fn done(done: &bool) -> Outcome {
    if *done { Outcome::Done } else { Outcome::Nothing }
}
