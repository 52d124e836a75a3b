//! What all clones and tenants of a handle share, without a type parameter.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    counters::Counters,
    load::{Failures, Landed, LoadBound, Releases, Source},
    options::{WriteOptions, timeout},
};
use crate::{
    address::{Address, Namer, Parts, PlainNamer},
    clock::{Tick, Ticker},
    coalesce::Coalesce,
    entry::Schema,
    error::{Error, ErrorKind, Result},
    load_gate::LoadPermit,
    observe::Rejection,
    request::{Get, Lookup, Operation, Request, Response, Scope},
    service::ErasedService,
    util::until,
};

/// A source of numbers uniform in 0..1, for jitter and early refresh.
pub(crate) type Random = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The settings of a handle, as its builder has checked them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) write: WriteOptions,
    pub(crate) load: LoadOptions,
    pub(crate) schema: Option<Schema>,
    pub(crate) max_staleness: Option<Duration>,
    pub(crate) store_timeout: Duration,
    pub(crate) load_timeout: Duration,
    pub(crate) max_loads: usize,
    /// How long after a failed refresh the next one may start.
    pub(crate) refresh_pause: Duration,
}

/// What one loading call asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadOptions {
    pub(crate) negative_ttl: Option<Duration>,
    pub(crate) soft_timeout: Duration,
    pub(crate) hard_timeout: Option<Duration>,
    pub(crate) keep_loading: bool,
    pub(crate) refresh_ahead: Option<f64>,
    pub(crate) early_refresh: Option<f64>,
    pub(crate) source: Source,
}

impl LoadOptions {
    /// Whether fresh values may be refreshed early.
    pub(crate) fn refreshes(&self) -> bool {
        self.refresh_ahead.is_some() || self.early_refresh.is_some()
    }
}

/// The id of loads that have no lease.
pub(crate) const UNLEASED: u64 = 0;

/// What all clones and tenants of a handle share.
pub(crate) struct Core {
    pub(crate) service: ErasedService,
    pub(crate) namer: Option<Arc<dyn Namer>>,
    pub(crate) clock: Ticker,
    pub(crate) random: Random,
    pub(crate) settings: Settings,
    pub(crate) counters: Counters,
    /// Loads that are running, each under the id of its lease.
    pub(crate) flights: Coalesce<Address, Landed>,
    /// Early refreshes that are being asked for.
    pub(crate) early: Coalesce<Address, ()>,
    pub(crate) failures: Option<Failures>,
    /// How many loads there may be at a time.
    pub(crate) bound: LoadBound,
    /// Leases that are to be released.
    pub(crate) releases: Releases,
}

impl Core {
    pub(crate) fn address(&self, parts: &Parts<'_>) -> Result<Address> {
        match &self.namer {
            None => parts.to_address(&PlainNamer),
            Some(namer) => parts.to_address(namer),
        }
    }

    /// When a call that starts now must have ended: by its own limit, else by the store's.
    pub(crate) fn own_deadline(&self, limit: Option<Duration>) -> Result<Tick> {
        let limit = limit.map_or(Ok(self.settings.store_timeout), |limit| timeout("timeout", limit))?;
        Ok(self.clock.now().after(limit))
    }

    /// When a store call that starts now must have ended, within the caller's own deadline.
    pub(crate) fn store_deadline(&self, now: Tick, deadline: Option<Tick>) -> Tick {
        let own = now.after(self.settings.store_timeout);
        deadline.map_or(own, |deadline| deadline.min(own))
    }

    /// Sends one operation through the stack and bounds it by its scope's deadline.
    pub(crate) async fn call<O: Operation>(&self, op: O) -> Result<O::Output> {
        self.send::<O>(op.into()).await
    }

    /// Sends a request that was made of an operation.
    pub(crate) async fn send<O: Operation>(&self, request: Request) -> Result<O::Output> {
        let (deadline, count) = (request.scope().deadline, request.len());
        let reads = request.is_read();
        self.answer::<O>(self.service.dispatch(request), deadline, count, reads).await
    }

    /// Waits for the answer to an operation of `count` items until its deadline.
    pub(crate) async fn answer<O: Operation>(
        &self,
        call: impl Future<Output = Result<Response>>,
        deadline: Option<Tick>,
        count: usize,
        reads: bool,
    ) -> Result<O::Output> {
        match until(&self.clock, deadline, call).await {
            Some(Ok(response)) if response.len() == count => O::output(response),
            Some(Ok(_)) => Err(Error::new(ErrorKind::Protocol, "a layer answered another number of items")),
            Some(Err(error)) => Err(unsure(error, reads)),
            None => Err(cut_off(reads)),
        }
    }

    /// Asks whether a tenant may load.
    pub(crate) fn enter(&self, tenant: Option<&str>) -> Result<LoadPermit> {
        self.service.load_gate().map_or_else(|| Ok(LoadPermit::free()), |gate| gate.enter(tenant))
    }

    /// Lets nobody join a load from before an invalidation, which has just ended.
    ///
    /// Loads without a lease only: they have nothing else that would keep later callers from joining them.
    pub(crate) fn changed_spaces(&self) {
        self.flights.retain(|_, id| id != UNLEASED);
    }

    /// Lets nobody join a load from before a change of these keys, which has just ended.
    ///
    /// Loads without a lease only: the others were ended by the store, and theirs may be newer than the change.
    pub(crate) fn changed<'a>(&self, addresses: impl IntoIterator<Item = &'a Address>) {
        addresses.into_iter().for_each(|address| self.flights.forget_as(address, UNLEASED));
    }

    /// Reads one key.
    pub(crate) async fn look_up(&self, get: Get) -> Result<Lookup> {
        self.call(get).await?.into_one().unwrap_or_else(|| Err(not_one()))
    }

    /// Checks what can be checked of a write before there is a value.
    pub(crate) fn check_write(&self, options: &WriteOptions) -> Result<()> {
        options.checked_tags()?;
        options.clone().over(&self.settings.write).lifetime(self.clock.wall(), 0.0).map(drop)
    }

    /// Counts a value that cannot be opened, and returns its error.
    pub(crate) fn rejected(&self, error: Error) -> Error {
        self.counters.rejected(Rejection::Unopened);
        error
    }

    pub(crate) fn scope(&self, deadline: Option<Tick>) -> Scope {
        Scope { deadline, max_staleness: self.settings.max_staleness, ..Scope::default() }
    }
}

/// The error of a call that its deadline cut off: a write may have happened.
pub(crate) fn cut_off(reads: bool) -> Error {
    if reads {
        Error::new(ErrorKind::Timeout, "the store did not answer in time")
    } else {
        Error::new(ErrorKind::Unknown, "the store did not confirm the write in time; it may or may not have happened")
    }
}

/// Turns the timeout of an attempt to write, somewhere below, into what it is for the caller.
pub(crate) fn unsure(error: Error, reads: bool) -> Error {
    if !reads && error.kind() == ErrorKind::Timeout { cut_off(reads).with_source(error) } else { error }
}

pub(crate) fn not_one() -> Error {
    Error::new(ErrorKind::Protocol, "a layer answered another number of items")
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("settings", &self.settings).finish_non_exhaustive()
    }
}
