//! What is put under a key.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use memstache_core::{Error, NewEntry, Result, Tag, Tags};

use crate::keyspace::{Expiry, Settings, Sourced, lifetime};

/// A value to be put, with what is said about it; made of any bytes or text.
///
/// ```
/// use std::time::Duration;
/// use memstache_cluster::Put;
///
/// let plain: Put = "a lamp".into();
/// let brief = Put::new("a lamp").ttl(Duration::from_secs(60)).tags(["shop:1"]);
/// # let _ = (plain, brief);
/// ```
#[derive(Clone)]
#[must_use = "it is what is put"]
pub struct Put(Sourced);

impl Put {
    /// Creates a value with the keyspace's default ttl.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self(Sourced::new(value))
    }

    /// Lets it live so long, above zero. Default: the keyspace's default ttl.
    pub fn ttl(self, ttl: Duration) -> Self {
        Self(self.0.ttl(ttl))
    }

    /// Lets it live until an instant, in the future. Default: the keyspace's default ttl.
    pub fn expires_at(self, instant: SystemTime) -> Self {
        Self(self.0.expires_at(instant))
    }

    /// Adds tags by which it can be invalidated: at most 32 of at most 128 bytes.
    pub fn tags<I: IntoIterator<Item: Into<String>>>(self, tags: I) -> Self {
        Self(self.0.tags(tags))
    }

    /// Turns it into what a keyspace stores: its own end beats the default.
    pub(crate) fn entry(self, settings: &Settings, wall: SystemTime) -> Result<NewEntry> {
        let Sourced { value, expiry, tags } = self.0;
        let ends = [expiry, settings.default_ttl.map(Expiry::After)];
        let Some(lifetime) = lifetime(ends, settings.stale_for, wall)? else {
            return Err(Error::invalid("expiry", "in the future", "one that is over"));
        };
        let tags = Tags::new(tags.into_iter().map(Tag::new).collect::<Result<Vec<_>>>()?)?;
        let mut entry = NewEntry::new(value, lifetime).with_tags(tags);
        entry.content.format = settings.format;
        Ok(entry)
    }
}

impl<T: Into<Bytes>> From<T> for Put {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f.debug_struct("Put"))
    }
}
