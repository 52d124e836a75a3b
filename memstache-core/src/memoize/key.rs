//! What a request is cached under.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::{
    address::MAX_NAME,
    cache::{Until, WriteOptions, write_setters},
};

/// The name under which a request's response is cached, and what the request says about its storing.
///
/// Made from a `String`, `&'static str`, `Vec<u8>` or [`Bytes`]. What the response says (its own lifetime) beats what
/// is said here, which beats the cache's settings; tags add up. `Debug` shows the name's length only.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::memoize::MemoKey;
///
/// let plain: MemoKey = "user:7".into();
/// let more = MemoKey::new(format!("user:{}", 7)).tags(["users"]).ttl(Duration::from_secs(60));
/// assert_eq!(plain.name(), more.name());
/// ```
#[derive(Clone)]
#[must_use = "it is what the key function returns"]
pub struct MemoKey {
    pub(super) name: Bytes,
    pub(super) options: WriteOptions,
}

impl MemoKey {
    /// Creates a key. A name that is empty or over [`MAX_NAME`] bytes passes its request by.
    pub fn new(name: impl Into<Bytes>) -> Self {
        Self { name: name.into(), options: WriteOptions::default() }
    }

    /// Returns the name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    write_setters!(options);

    /// Whether a cache can hold it. Names come from callers, so a long one is no error of the service.
    pub(super) fn fits(&self) -> bool {
        (1..=MAX_NAME).contains(&self.name.len())
    }
}

impl<T: Into<Bytes>> From<T> for MemoKey {
    fn from(name: T) -> Self {
        Self::new(name)
    }
}

impl fmt::Debug for MemoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoKey")
            .field("name_len", &self.name.len())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
