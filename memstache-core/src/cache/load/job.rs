//! What is to be done when a key must be loaded.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tracing::Instrument as _;

use super::{
    super::{
        Cache,
        core::{Core, LoadOptions},
        fetched::Fetched,
        options::{Until, WriteOptions},
    },
    LoadContext, Loaded, Loader,
    ask::{ask, named},
    context::Found,
    flight::{Landed, Produced, Right, load},
    source::Source,
};
use crate::{
    address::Address,
    clock::{BoxFuture, Tick},
    coalesce::{Joined, Opened, fly},
    entry::{Entry, Meta, NewEntry},
    error::{BoxError, Error, ErrorKind, Result},
    expiry,
    format::Format,
    observe::span,
    request::{Get, GetItem, Lookup, OnMiss, OneOrMany},
    util::{timed_out, until},
};

/// One key's loader with all that its flight needs.
pub(super) struct Job<F, L> {
    pub(super) cache: Cache<F>,
    pub(super) address: Address,
    pub(super) loader: L,
    pub(super) write: WriteOptions,
    pub(super) negative_ttl: Option<Duration>,
    pub(super) source: Source,
}

impl<F: Format, L> Job<F, L> {
    /// Starts the flight, or joins the one that runs by the same right.
    pub(super) fn start<T>(self, right: Right, stale: Option<Entry>) -> Joined<Landed>
    where
        L: Loader<T>,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let core = Arc::clone(&self.cache.core);
        match core.flights.open_as(self.address.clone(), right.id()) {
            Opened::Joined(joined) => {
                core.counters.joined();
                joined
            }
            Opened::Leads(landing, joined) => {
                let address = self.address.clone();
                let until = stale.as_ref().map(|entry| expiry::dead_at(&entry.meta));
                let source = self.source.here();
                let produce: BoxFuture<'static, _> = Box::pin(self.produce(stale, source.clone()));
                // What the load logs, and what its source is asked, belongs to the call that started it.
                let span = span::load(address.keyspace(), 1);
                tokio::spawn(fly(landing, load(core, address, right, until, source, produce)).instrument(span));
                joined
            }
        }
    }

    /// Refreshes a fresh value in the background, if the store grants a lease for it.
    pub(super) fn refresh_early<T>(self, entry: Entry)
    where
        L: Loader<T>,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let (core, address) = (Arc::clone(&self.cache.core), self.address.clone());
        let item = GetItem::from(address.clone()).unless(entry.meta.version);
        let items = OneOrMany::One(named(item));
        let deadline = Some(core.store_deadline(core.clock.now(), None));
        let scope = core.scope(deadline);
        let get = Get { items, on_miss: OnMiss::Lease, scope };
        let early = core.early.clone();
        drop(early.run(address, move || async move {
            let (lease, entry) = match ask(&core, get, deadline).await.map(OneOrMany::into_one) {
                Ok(Some(Ok(Lookup::Leased(lease)))) => (lease, entry),
                // A later value is there, and stale by now.
                Ok(Some(Ok(Lookup::Stale(later, Some(lease))))) => (lease, later),
                _ => return,
            };
            // Its failure is counted; the value that is there stays.
            drop(self.start(Right::Lease(lease), Some(entry)).await);
        }));
    }

    async fn produce<T>(self, stale: Option<Entry>, source: Source) -> Result<Produced>
    where
        L: Loader<T>,
        T: Serialize + DeserializeOwned,
    {
        let Self { cache, loader, write, negative_ttl, .. } = self;
        let value = stale.as_ref().and_then(|entry| cache.format.decode_shared(&entry.value).ok());
        let loaded = source.around(loader.load(LoadContext { stale: value })).await?;
        cache.produced(loaded, &write, negative_ttl, stale)
    }
}

impl<F: Format> Cache<F> {
    /// Turns what a loader brought into what is stored or answered.
    pub(super) fn produced<T: Serialize>(
        &self,
        loaded: Loaded<T>,
        call: &WriteOptions,
        negative_ttl: Option<Duration>,
        stale: Option<Entry>,
    ) -> Result<Produced> {
        let own_end = loaded.options.until;
        // The call's end may have come while the source was asked.
        let over = own_end.is_none() && call.is_over(self.core.clock.wall());
        let options = loaded.options.over(call);
        match loaded.found {
            Found::Store(value) if !over => Ok(Produced::Store(self.new_entry(self.encoded(&value)?, options)?)),
            Found::Store(value) | Found::Skip(value) => Ok(Produced::Answer(Some(self.encoded(&value)?))),
            Found::Failed(error) => Err(load_failed(error)),
            Found::Missing => {
                // The call's ttl is for values; their absence lasts as long as the loader or the call says for it.
                // A value that is there gives way to a record that ends at once: what is gone is not served stale.
                let at_once = stale.map(|_| Until::Ttl(Duration::from_millis(1)));
                let until = own_end.or_else(|| negative_ttl.map(Until::Ttl)).or(at_once);
                until.map_or(Ok(Produced::Answer(None)), |until| self.absence(until, &options))
            }
            Found::NotModified => {
                let missing = || load_failed("the loader kept a stale value, but there is none");
                let stale = stale.ok_or_else(missing)?;
                if over {
                    return Ok(Produced::Answer(Some(stale.value)));
                }
                let mut options = options;
                options.tags.extend_from_slice(stale.meta.tags.as_slice());
                let entry = self.new_entry(stale.value, options)?;
                Ok(Produced::Store(NewEntry { content: stale.meta.content, ..entry }))
            }
        }
    }

    /// Encodes what was loaded; a panic there is not the loader's.
    fn encoded<T: Serialize>(&self, value: &T) -> Result<Bytes> {
        let encode = AssertUnwindSafe(|| self.format.encode(value));
        let panicked =
            |_| Err(Error::new(ErrorKind::LoadPanicked, "the format panicked while it encoded what was loaded"));
        catch_unwind(encode).unwrap_or_else(panicked)
    }

    /// A record that the source has no such key.
    fn absence(&self, until: Until, options: &WriteOptions) -> Result<Produced> {
        let lifetime = WriteOptions { until: Some(until), ..WriteOptions::default() };
        let lifetime = lifetime.lifetime(self.core.clock.wall(), 0.0)?;
        Ok(Produced::Store(NewEntry::negative(lifetime).with_tags(options.checked_tags()?)))
    }

    /// Opens what a flight brought.
    pub(super) fn landed<T: DeserializeOwned>(&self, landed: &Landed) -> Result<Fetched<T>> {
        let value = landed.value.as_ref().map(|value: &Bytes| self.format.decode_shared(value)).transpose()?;
        Ok(Fetched::loaded(value, landed.ttl))
    }

    /// Waits for a flight until `give_up`.
    pub(super) async fn land<T: DeserializeOwned>(
        &self,
        mut flight: Joined<Landed>,
        give_up: Tick,
        keep_loading: bool,
    ) -> Result<Fetched<T>> {
        match until(&self.core.clock, Some(give_up), &mut flight).await {
            Some(landed) => self.landed(&landed?),
            None => {
                if !keep_loading {
                    flight.abandon();
                }
                Err(timed_out("the value was not loaded in time"))
            }
        }
    }

    /// Waits for a refresh until `patience` ends; then the stale value is the answer.
    pub(super) async fn land_or<T: DeserializeOwned>(
        &self,
        mut flight: Joined<Landed>,
        stale: Fetched<T>,
        patience: Tick,
    ) -> Fetched<T> {
        if patience <= self.core.clock.now() {
            return stale;
        }
        match until(&self.core.clock, Some(patience), &mut flight).await {
            Some(Ok(landed)) => self.landed(&landed).unwrap_or(stale),
            Some(Err(_)) | None => stale,
        }
    }
}

/// Whether a reader should refresh a fresh entry now.
pub(super) fn is_due(core: &Core, load: &LoadOptions, meta: &Meta, now: Tick) -> bool {
    load.refresh_ahead.is_some_and(|part| expiry::due_ahead(meta, now, part))
        || load.early_refresh.is_some_and(|beta| expiry::due_by_chance(meta, now, beta, (core.random)()))
}

pub(super) fn load_failed(error: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::Load, "the loader failed").with_source(error)
}
