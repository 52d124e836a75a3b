//! Reading one key.

use std::{sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use super::{
    Cache,
    call::{Call, only},
    core::Core,
    counters::Outcome,
    fetched::Fetched,
    load::{Shape, shape},
    options::timeout,
};
use crate::{
    address::Parts,
    clock::Tick,
    entry::{Encoding, Entry, Meta},
    error::{Error, ErrorKind, Result},
    expiry,
    format::Format,
    lifetime::bounded,
    observe::Rejection,
    request::{Consistency, Get, Lookup, OnMiss, OneOrMany, Request, Scope, Touch, TouchKind},
    util::Outlined,
};

/// Reads with options of its own; made by [`Cache::read`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// # use memstache_core::{Cache, Json, MemoryStore, Stack};
/// # let stack = Stack::over(MemoryStore::builder().build()?).build();
/// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
/// use std::time::Duration;
///
/// let reader = cache.read().authority().timeout(Duration::from_secs(1));
/// assert_eq!(reader.get::<u32>("answer").await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is read before one of its methods is awaited"]
pub struct Read<'a, F> {
    pub(super) cache: &'a Cache<F>,
    pub(super) options: ReadOptions,
}

/// What one reading call asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadOptions {
    pub(super) timeout: Option<Duration>,
    pub(super) consistency: Consistency,
    pub(super) max_staleness: Option<Duration>,
    pub(super) allow_stale: bool,
}

impl ReadOptions {
    /// What the layers are asked by a call of one store call, from `now` on.
    pub(super) fn scope(&self, core: &Core, now: Tick) -> Scope {
        let deadline = now.after(self.timeout.unwrap_or(core.settings.store_timeout));
        Scope { fresh_only: !self.allow_stale, ..self.scope_until(core, Some(deadline)) }
    }

    /// What the layers are asked until `deadline`.
    pub(super) fn scope_until(&self, core: &Core, deadline: Option<Tick>) -> Scope {
        let cap = core.settings.max_staleness;
        let max_staleness = self.max_staleness.map_or(cap, |age| Some(cap.map_or(age, |cap| cap.min(age))));
        Scope { deadline, consistency: self.consistency, max_staleness, ..Scope::default() }
    }

    /// Whether nothing is asked for but what is fresh.
    #[cfg(feature = "near")]
    #[inline(always)]
    pub(super) fn is_plain(&self, core: &Core) -> bool {
        self.consistency != Consistency::Authority
            && self.max_staleness.is_none()
            && core.settings.max_staleness.is_none()
    }

    /// Until when a stale entry may be the answer.
    pub(super) fn served_until(&self, core: &Core, meta: &Meta) -> Tick {
        let max_staleness = self.scope_until(core, None).max_staleness;
        let capped = max_staleness.map_or(Tick::NEVER, |age| meta.confirmed_at.after(age));
        expiry::dead_at(meta).min(capped)
    }

    #[inline]
    pub(super) fn check(&self) -> Result<()> {
        self.timeout.map_or(Ok(()), |limit| timeout("timeout", limit).map(drop))?;
        self.max_staleness.map_or(Ok(()), |age| bounded("max_staleness", age).map(drop))
    }
}

impl<F: Format> Cache<F> {
    /// Starts a read with options of its own.
    pub fn read(&self) -> Read<'_, F> {
        Read { cache: self, options: ReadOptions::default() }
    }

    /// Returns the value of a key, if a fresh one is cached.
    ///
    /// A value that cannot be opened (tampered, another format or schema) is a miss.
    pub async fn get<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>> {
        self.read().get(key).await
    }

    /// Returns the value of a key, shared: decoded once, then kept in the near tier.
    ///
    /// A near hit on a value that is kept costs no decoding and no allocation. It is judged as any other hit: by expiry,
    /// invalidation and [`max_staleness`](Read::max_staleness). The first near hit decodes the value and has it kept
    /// beside its bytes, for as long as those are held. It is charged to the near tier with `size_of::<T>()` and the
    /// length of its bytes, an estimate, and 149 bytes for its place, more by a name of over 22 bytes; if the
    /// estimate is more than 1/64 of the tier, it is decoded each time, as it is where there is no near tier.
    ///
    /// One value is kept for a key: what is asked for as another type is decoded from the bytes, as [`get`](Self::get)
    /// does it; if they are none, it is a miss.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// use std::sync::Arc;
    /// use memstache_core::{Cache, Json, MemoryStore, NearConfig, Stack};
    ///
    /// let store = MemoryStore::builder().max_bytes(64 << 20).build()?;
    /// let stack = Stack::over(store).near(NearConfig::new(8 << 20)?).build();
    /// let cache = Cache::builder(stack).keyspace("pages").format(Json).build()?;
    /// cache.set("home", "a long page").await?;
    ///
    /// // From the store, from its near copy, and then as it was decoded.
    /// let page = [cache.get_arc::<String>("home").await?, cache.get_arc("home").await?, cache.get_arc("home").await?];
    /// let [_, Some(second), Some(third)] = page else { panic!("it is there") };
    /// assert!(Arc::ptr_eq(&second, &third));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_arc<T>(&self, key: impl AsRef<[u8]>) -> Result<Option<Arc<T>>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        // Not by the method of `Read`: that would be a state machine within one.
        let name = key.as_ref();
        if let Some(value) = self.read().kept(name) {
            return Ok(Some(value));
        }
        let read = self.read();
        Outlined { future: read.fetch::<T, shape::Shared<shape::Optional>>(name) }.await
    }

    /// Returns the value of a key, if it can be had: any failure reads as `None` (and is counted as an error).
    pub async fn try_get<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Option<T> {
        self.read().try_get(key).await
    }

    /// Returns the value of a key with where it came from, its age and what is left of its life. Stale values count.
    pub async fn get_entry<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Fetched<T>> {
        self.read().allow_stale().get_entry(key).await
    }

    /// Returns whether a key has a fresh value, without fetching it. Not counted as a request.
    pub fn exists(&self, key: impl AsRef<[u8]>) -> Call<bool> {
        self.read().exists(key)
    }

    /// Opens a stored value, or says why it cannot be: the error carries its version.
    pub(super) fn open<T: DeserializeOwned>(&self, entry: &Entry) -> Result<T> {
        self.try_open(entry).map_err(|reason| {
            self.core.counters.rejected(reason);
            Error::rejected(entry.meta.version)
        })
    }

    /// Opens a stored value, and leaves it to the caller to count why it could not.
    pub(super) fn try_open<T: DeserializeOwned>(&self, entry: &Entry) -> Result<T, Rejection> {
        let content = &entry.meta.content;
        if content.sealed || content.encoding != Encoding::NONE {
            Err(Rejection::Unopened)
        } else if content.format != self.format.id() {
            Err(Rejection::Format)
        } else if content.schema != self.core.settings.schema {
            Err(Rejection::Schema)
        } else {
            self.format.decode_shared(&entry.value).map_err(|_| Rejection::Decode)
        }
    }
}

impl<'a, F: Format> Read<'a, F> {
    /// Asks the authority: near caches and copies are passed by.
    pub fn authority(mut self) -> Self {
        self.options.consistency = Consistency::Authority;
        self
    }

    /// Accepts values in their grace.
    pub fn allow_stale(mut self) -> Self {
        self.options.allow_stale = true;
        self
    }

    /// Bounds the call. Default: the cache's store timeout.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.timeout = Some(limit);
        self
    }

    /// Accepts nothing that was last confirmed longer ago. Default: the cache's; it cannot be raised.
    pub fn max_staleness(mut self, age: Duration) -> Self {
        self.options.max_staleness = Some(age);
        self
    }

    /// Like [`Cache::get`], with these options.
    pub async fn get<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>> {
        self.fetch::<T, shape::Optional>(key.as_ref()).await
    }

    /// Like [`Cache::get_arc`], with these options.
    pub async fn get_arc<T>(&self, key: impl AsRef<[u8]>) -> Result<Option<Arc<T>>>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let name = key.as_ref();
        match self.kept(name) {
            Some(value) => Ok(Some(value)),
            None => Outlined { future: self.fetch::<T, shape::Shared<shape::Optional>>(name) }.await,
        }
    }

    /// Like [`Cache::try_get`], with these options.
    pub async fn try_get<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Option<T> {
        self.get(key).await.ok().flatten()
    }

    /// Like [`Cache::get_entry`], with these options: a stale value is a miss unless [`allow_stale`](Self::allow_stale).
    pub async fn get_entry<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Fetched<T>> {
        self.fetch::<T, shape::Entry>(key.as_ref()).await
    }

    /// Like [`Cache::exists`], with these options.
    pub fn exists(&self, key: impl AsRef<[u8]>) -> Call<bool> {
        let core = &self.cache.core;
        let request = self.options.check().and_then(|()| {
            let mut touch = Touch::one(self.cache.address(key)?, TouchKind::Probe);
            touch.scope = self.options.scope(core, core.clock.now());
            Ok(Request::Touch(touch))
        });
        let call = Call::new(core, request, only::<Touch, bool>);
        if let Some(limit) = self.options.timeout { call.timeout(limit) } else { call }
    }

    /// Returns what the near tier keeps decoded, counted as a hit.
    #[inline(always)]
    fn kept<T: DeserializeOwned + Send + Sync + 'static>(&self, name: &[u8]) -> Option<Arc<T>> {
        let counters = &self.cache.core.counters;
        let uncounted = counters.uncounted();
        let parts = self.near_parts(name);
        let kept = parts
            .and_then(|parts| self.cache.near_value::<T, shape::Shared<shape::Optional>>(&parts, &self.options, None));
        uncounted.ended();
        kept.inspect(|_| counters.hit_at_once())
    }

    /// Reads what is not kept decoded.
    async fn fetch<T: DeserializeOwned, S: Shape<T>>(&self, name: &[u8]) -> Result<S::Output> {
        if let Some(fetched) = self.counted_near_hit::<T, S>(name) {
            return S::shape(fetched);
        }
        let mut counted = self.cache.core.counters.begin(1);
        let result = self.look_up::<T>(name, S::TOLD).await;
        counted.answered(result.as_ref().map(|fetched| fetched.outcome));
        S::shape(result?.map(S::take))
    }

    fn counted_near_hit<T: DeserializeOwned, S: Shape<T>>(&self, name: &[u8]) -> Option<Fetched<S::Value>> {
        let counters = &self.cache.core.counters;
        let uncounted = counters.uncounted();
        let near = self.near_parts(name).and_then(|parts| self.near_opened::<T, S>(&parts));
        uncounted.ended();
        near.inspect(|fetched| counters.at_once(fetched.outcome))
    }

    /// Answers from the near tier, not counted yet, unless there is more to do than that.
    pub(super) fn near_hit<T: DeserializeOwned, S: Shape<T>>(&self, name: &[u8]) -> Option<Fetched<S::Value>> {
        let parts = self.near_parts(name)?;
        let mut told = None;
        match self.cache.near_value::<T, S>(&parts, &self.options, S::TOLD.then_some(&mut told)) {
            Some(value) => Some(self.cache.hit(value, told.as_ref())),
            None => self.near_opened::<T, S>(&parts),
        }
    }

    /// Returns the key, unless something is wrong with the call: that is told by what comes after the near tier.
    // In place, as [`Parts::new`].
    #[inline(always)]
    fn near_parts<'n>(&self, name: &'n [u8]) -> Option<Parts<'n>>
    where
        'a: 'n,
    {
        self.options.check().ok()?;
        Parts::new(self.cache.space(), name).ok()
    }

    /// Answers from the bytes that the near tier has.
    fn near_opened<T: DeserializeOwned, S: Shape<T>>(&self, parts: &Parts<'_>) -> Option<Fetched<S::Value>> {
        let cache = self.cache;
        let entry = cache.near_entry(parts, &self.options)?;
        Some(match cache.open_near::<T, S>(parts, &entry) {
            Ok(value) => cache.hit(value, S::TOLD.then_some(&entry.meta)),
            Err(reason) => {
                cache.core.counters.rejected(reason);
                Fetched::miss()
            }
        })
    }

    async fn look_up<T: DeserializeOwned>(&self, name: &[u8], told: bool) -> Result<Fetched<T>> {
        self.options.check()?;
        let core = &self.cache.core;
        let address = core.address(&Parts::new(self.cache.space(), name)?)?;
        let (asked, begun) = core.clock.begin();
        let scope = Scope { begun, ..self.options.scope(core, asked) };
        let found = core.look_up(Get { items: OneOrMany::One(address.into()), on_miss: OnMiss::Report, scope }).await;
        // Where nobody is told how old it is, nobody asks what time it is now.
        self.arrived(found, if told { core.clock.now() } else { asked })
    }

    /// Judges what a lookup brought for a caller without a loader.
    pub(super) fn arrived<T: DeserializeOwned>(&self, found: Result<Lookup>, now: Tick) -> Result<Fetched<T>> {
        let (entry, outcome) = match found {
            Ok(Lookup::Hit(entry)) => (entry, Outcome::Hit),
            Ok(Lookup::Stale(entry, _)) if self.options.allow_stale => (entry, Outcome::Stale),
            Ok(Lookup::Negative(meta)) => return Ok(Fetched::cached(None, Outcome::Negative, &meta, now)),
            Ok(_) => return Ok(Fetched::miss()),
            Err(error) if is_unreadable(&error) => {
                self.cache.core.rejected(error);
                return Ok(Fetched::miss());
            }
            Err(error) => return Err(error),
        };
        match self.cache.open(&entry) {
            Ok(value) => Ok(Fetched::cached(Some(value), outcome, &entry.meta, now)),
            Err(_) => Ok(Fetched::miss()),
        }
    }
}

/// Whether an item's error says that a value is there but cannot be opened.
pub(super) fn is_unreadable(error: &Error) -> bool {
    error.version().is_some() && matches!(error.kind(), ErrorKind::Rejected | ErrorKind::Unsupported)
}
