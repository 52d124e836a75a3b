//! A value together with where it came from and how old it is.

use std::{fmt, time::Duration};

use super::counters::Outcome;
use crate::{clock::Tick, entry::Meta, version::Version};

/// What a read brought. `Debug` shows whether there is a value, not which.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched<T> {
    /// The value; `None` for a miss or a negative record.
    pub value: Option<T>,
    /// How the read was answered.
    pub outcome: Outcome,
    /// How long ago the value was written; zero if it was just loaded.
    pub age: Duration,
    /// How long it stays fresh; `None` if it has no end, or was not stored.
    pub ttl_left: Option<Duration>,
    /// Which write it is; `None` if it did not come from the cache.
    pub version: Option<Version>,
}

impl<T> fmt::Debug for Fetched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("found", &self.value.is_some())
            .field("outcome", &self.outcome)
            .field("age", &self.age)
            .field("ttl_left", &self.ttl_left)
            .field("version", &self.version)
            .finish()
    }
}

impl<T> Fetched<T> {
    pub(super) fn miss() -> Self {
        Self { value: None, outcome: Outcome::Miss, age: Duration::ZERO, ttl_left: None, version: None }
    }

    /// A value of which only that is wanted.
    pub(super) fn value(value: T) -> Self {
        Self { value: Some(value), outcome: Outcome::Hit, ..Self::miss() }
    }

    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Fetched<U> {
        let Self { value, outcome, age, ttl_left, version } = self;
        Fetched { value: value.map(change), outcome, age, ttl_left, version }
    }

    pub(super) fn loaded(value: Option<T>, ttl_left: Option<Duration>) -> Self {
        Self { value, outcome: Outcome::Miss, age: Duration::ZERO, ttl_left, version: None }
    }

    pub(super) fn cached(value: Option<T>, outcome: Outcome, meta: &Meta, now: Tick) -> Self {
        Self {
            value,
            outcome,
            age: now.since(meta.written_at),
            ttl_left: (meta.fresh_until != Tick::NEVER).then(|| meta.fresh_until.since(now)),
            version: Some(meta.version),
        }
    }
}
