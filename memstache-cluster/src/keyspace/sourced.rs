//! What a source answers.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::Expiry;

/// A value as its source has it.
///
/// ```
/// use std::time::Duration;
/// use memstache_cluster::Sourced;
///
/// let page = Sourced::new("<html>").ttl(Duration::from_secs(60)).tags(["shop:1"]);
/// # let _ = page;
/// ```
#[derive(Clone)]
#[must_use = "it is what a source returns"]
pub struct Sourced {
    pub(crate) value: Bytes,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) tags: Vec<String>,
}

impl Sourced {
    /// Creates a value with the lifetime of its keyspace.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self { value: value.into(), expiry: None, tags: Vec::new() }
    }

    /// Lets it live so long: before what the keyspace says. Zero: it is answered and not kept.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.expiry = Some(Expiry::After(ttl));
        self
    }

    /// Lets it live until an instant: before what the keyspace says. One that has passed: it is answered and not kept.
    pub fn expires_at(mut self, instant: SystemTime) -> Self {
        self.expiry = Some(Expiry::At(instant));
        self
    }

    /// Adds tags by which it can be invalidated: at most 32 of at most 128 bytes.
    pub fn tags<I: IntoIterator<Item: Into<String>>>(mut self, tags: I) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Tells of it in a debug form, but for the value.
    pub(crate) fn describe(&self, mut form: fmt::DebugStruct<'_, '_>) -> fmt::Result {
        form.field("len", &self.value.len()).field("expiry", &self.expiry).field("tags", &self.tags.len()).finish()
    }
}

impl<T: Into<Bytes>> From<T> for Sourced {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Sourced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f.debug_struct("Sourced"))
    }
}
