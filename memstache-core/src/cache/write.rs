//! Writing, removing and touching one key.

use std::{
    fmt,
    future::IntoFuture,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde::Serialize;

use super::{
    Cache,
    call::{Call, only},
    options::{Until, WriteOptions, write_setters},
};
use crate::{
    address::Address,
    entry::{Content, NewEntry},
    error::Result,
    format::Format,
    request::{OneOrMany, Remove, Request, Set, SetItem, Touch, TouchItem, TouchKind, When, Written},
    version::Version,
};

/// A write of one key, done when it is awaited.
#[must_use = "nothing is written before it is awaited"]
pub struct SetBuilder<'a, F> {
    cache: &'a Cache<F>,
    address: Result<Address>,
    value: Result<Bytes>,
    options: WriteOptions,
    when: When,
    timeout: Option<Duration>,
}

impl<F: Format> Cache<F> {
    /// Writes a value; awaited for whether it was [`Stored`](Written::Stored).
    ///
    /// The value is encoded at once. Ends every load of the key that is running: its value is not stored any more.
    /// Errors: [`Invalid`](crate::ErrorKind::Invalid) for options out of their limits,
    /// [`TooLarge`](crate::ErrorKind::TooLarge), [`Unknown`](crate::ErrorKind::Unknown) when the store did not confirm
    /// in time.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// # use memstache_core::{Cache, Json, MemoryStore, Stack};
    /// # let stack = Stack::over(MemoryStore::builder().build()?).build();
    /// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
    /// use std::time::Duration;
    /// use memstache_core::Written;
    ///
    /// cache.set("user:7", &["Ada", "Lovelace"]).ttl(Duration::from_secs(60)).tags(["users"]).await?;
    /// assert_eq!(cache.set("user:7", "other").if_absent().await?, Written::Refused);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set<T: Serialize + ?Sized>(&self, key: impl AsRef<[u8]>, value: &T) -> SetBuilder<'_, F> {
        let address = self.address(key);
        // A wrong key is not worth encoding for; the address's error is the one that is reported.
        let value = if address.is_ok() { self.format.encode(value) } else { Ok(Bytes::new()) };
        let options = WriteOptions::default();
        SetBuilder { cache: self, address, value, options, when: When::Always, timeout: None }
    }

    /// Removes a key; awaited for whether there was a live value.
    ///
    /// Ends every load of the key that is running: its value is not stored any more, and nobody who asks from now on
    /// gets it. A removal that could not be delivered is an error.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Call<bool> {
        let request = self.address(key).map(|address| Remove::one(address).into());
        Call::new(&self.core, request, only::<Remove, bool>)
    }

    /// Counts as a read of a key: extends a sliding value. Awaited for whether there is a live value.
    pub fn touch(&self, key: impl AsRef<[u8]>) -> Call<bool> {
        self.touch_as(key.as_ref(), Ok(TouchKind::Slide))
    }

    /// Gives a live value a new ttl from now on. Awaited for whether there is a live value.
    ///
    /// The idle window, the grace and the jitter become the cache's own, as if the value had been written anew.
    pub fn touch_ttl(&self, key: impl AsRef<[u8]>, ttl: Duration) -> Call<bool> {
        let options = WriteOptions { until: Some(Until::Ttl(ttl)), ..WriteOptions::default() };
        let defaults = &self.core.settings.write;
        let lifetime = options.over(defaults).lifetime(self.core.clock.wall(), (self.core.random)());
        self.touch_as(key.as_ref(), lifetime.map(TouchKind::Live))
    }

    fn touch_as(&self, name: &[u8], kind: Result<TouchKind>) -> Call<bool> {
        let request = self.address(name).and_then(|address| {
            let items = OneOrMany::One(TouchItem { address, kind: kind? });
            Ok(Request::Touch(Touch { items, scope: self.core.scope(None) }))
        });
        Call::new(&self.core, request, only::<Touch, bool>)
    }

    /// Makes an encoded value the entry that options (over the cache's defaults) ask for.
    pub(super) fn new_entry(&self, value: Bytes, options: WriteOptions) -> Result<NewEntry> {
        let options = options.over(&self.core.settings.write);
        let lifetime = options.lifetime(self.core.clock.wall(), (self.core.random)())?;
        let mut entry = NewEntry::new(value, lifetime).with_tags(options.checked_tags()?);
        let (format, schema) = (self.format.id(), self.core.settings.schema);
        entry.content = Content { format, schema, ..entry.content };
        entry.options = options.entry_options();
        Ok(entry)
    }
}

impl<F: Format> SetBuilder<'_, F> {
    write_setters!(options);

    /// Writes only if the key has no live value.
    pub fn if_absent(mut self) -> Self {
        self.when = When::IfAbsent;
        self
    }

    /// Writes only if the key has a live value.
    pub fn if_present(mut self) -> Self {
        self.when = When::IfPresent;
        self
    }

    /// Writes only if the live value has this version.
    pub fn if_version(mut self, version: Version) -> Self {
        self.when = When::IfVersion(version);
        self
    }

    /// Bounds the call. Default: the cache's store timeout.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    fn request(self) -> Result<Request> {
        let address = self.address?;
        let entry = self.cache.new_entry(self.value?, self.options)?;
        let items = OneOrMany::One(SetItem { address, entry, when: self.when });
        Ok(Request::Set(Set { items, scope: self.cache.core.scope(None) }))
    }
}

impl<F> fmt::Debug for SetBuilder<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetBuilder").field("options", &self.options).field("when", &self.when).finish_non_exhaustive()
    }
}

impl<'a, F: Format> IntoFuture for SetBuilder<'a, F> {
    type Output = Result<Written>;
    type IntoFuture = Call<Written>;

    fn into_future(self) -> Call<Written> {
        let (core, limit) = (&self.cache.core, self.timeout);
        let call = Call::new(core, self.request(), only::<Set, Written>);
        if let Some(limit) = limit { call.timeout(limit) } else { call }
    }
}
