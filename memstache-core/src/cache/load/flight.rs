//! A load in the air: it keeps its lease alive, ends in time, fills and lands.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use tracing::Span;

use super::{
    super::core::{Core, UNLEASED, not_one},
    bound::Place,
    bundle::Bundle,
    source::Source,
};
use crate::{
    address::Address,
    clock::{BoxFuture, Tick},
    entry::NewEntry,
    error::{Error, ErrorKind, Result},
    observe::{CallResult, Fill, span},
    request::{Lease, OneOrMany, Set, SetItem, Touch, TouchItem, TouchKind, When, Written},
    service::AsOf,
    util::until,
};

/// Leases are not renewed more often than this, whatever ttl a store gives them.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(1);

/// What a flight brings to everybody who waits: the encoded value, or that the source has none.
#[derive(Clone, Debug)]
pub(crate) struct Landed {
    pub(super) value: Option<Bytes>,
    /// How long it stays fresh, if it was given an end and stored.
    pub(super) ttl: Option<Duration>,
}

/// What a loader's value has become before it is stored.
#[derive(Debug)]
pub(super) enum Produced {
    /// To be stored; a negative record too.
    Store(NewEntry),
    /// To be answered only.
    Answer(Option<Bytes>),
}

/// By which right a flight fills.
#[derive(Clone, Copy, Debug)]
pub(super) enum Right {
    /// Under a lease of the store.
    Lease(Lease),
    /// The store grants no leases.
    Unleased,
    /// The store failed: nothing is stored.
    Degraded,
}

impl Right {
    /// The id under which the flight can be joined.
    pub(super) fn id(&self) -> u64 {
        match self {
            Self::Lease(lease) => lease.id.0,
            Self::Unleased | Self::Degraded => UNLEASED,
        }
    }
}

/// Runs a load to its end: the loader within its time, the lease kept alive, the fill. `stale`: until when there is a
/// value that is served meanwhile.
pub(super) async fn load(
    core: Arc<Core>,
    address: Address,
    right: Right,
    stale: Option<Tick>,
    source: Source,
    produce: BoxFuture<'static, Result<Produced>>,
) -> Result<Landed> {
    let mut claim = Claim::new(Arc::clone(&core), address, right, stale);
    let started = core.clock.now();
    if let Some(error) = claim.standing(started) {
        claim.release(Duration::ZERO);
        return Err(error);
    }
    // The places first: a breaker's probe is not for a load that is refused.
    let entered = Place::take(&core)
        .and_then(|place| Ok((place, core.enter(claim.address.tenant())?)))
        .and_then(|(place, permit)| Ok((place, permit, source.enter()?)));
    let (_place, _permit, pass) = match entered {
        Ok(entered) => entered,
        Err(error) => {
            claim.refused();
            return Err(error);
        }
    };
    claim.begins();
    let produced = keeping(&core, std::slice::from_ref(&claim), caught(produce));
    let produced = bounded(&core, started, produced).await;
    pass.ended(produced.as_ref().err());
    let (fill, mut landed) = claim.prepare(produced, core.clock.now().since(started));
    if let Some(item) = fill {
        let stored = store(&core, OneOrMany::One(item)).await.pop();
        claim.filled(stored.unwrap_or_else(|| Err(not_one())), &mut landed);
    }
    landed
}

/// Fills, within the store's time; one result per item.
pub(super) async fn store(core: &Core, items: OneOrMany<SetItem>) -> Vec<Result<Written>> {
    let count = items.len();
    let deadline = core.store_deadline(core.clock.now(), None);
    match core.call(Set { items, scope: core.scope(Some(deadline)) }).await {
        Ok(stored) => stored.into_iter().collect(),
        Err(error) => vec![Err(error); count],
    }
}

/// Runs a loader; its panic is an error.
pub(super) async fn caught<T>(load: impl Future<Output = Result<T>>) -> Result<T> {
    let panicked = |_| Err(Error::new(ErrorKind::LoadPanicked, "the loader panicked"));
    AssertUnwindSafe(load).catch_unwind().await.unwrap_or_else(panicked)
}

/// Bounds a loader by the cache's load timeout.
pub(super) async fn bounded<T>(core: &Arc<Core>, started: Tick, load: impl Future<Output = Result<T>>) -> Result<T> {
    let deadline = started.after(core.settings.load_timeout);
    let late = || Err(Error::new(ErrorKind::Timeout, "the loader did not end within the load timeout"));
    until(&core.clock, Some(deadline), load).await.unwrap_or_else(late)
}

/// Runs a loader and renews the leases of what it loads.
pub(super) async fn keeping<T>(core: &Arc<Core>, claims: &[Claim], load: impl Future<Output = T>) -> T {
    let leases: Vec<_> = claims.iter().filter_map(Claim::lease).collect();
    match select(pin!(load), pin!(renew(core, &leases))).await {
        Either::Left((output, _)) => output,
        Either::Right((never, _)) => match never {},
    }
}

/// Renews leases once a heartbeat, for as long as it is polled.
pub(super) async fn renew(core: &Arc<Core>, leases: &[(Address, Lease)]) -> std::convert::Infallible {
    let Some(heartbeat) = leases.iter().map(|(_, lease)| lease.ttl / 2).min() else {
        return std::future::pending().await;
    };
    loop {
        core.clock.sleep_until(core.clock.now().after(heartbeat.max(SHORTEST_HEARTBEAT))).await;
        // A lease that is lost, or a store that is gone, shows when the flight fills.
        touch(core, leases.iter().map(|(address, lease)| (address.clone(), TouchKind::Renew(lease.id)))).await;
    }
}

/// Touches, within the store's time; for each item whether the store has answered for it.
pub(super) async fn touch(core: &Arc<Core>, items: impl Iterator<Item = (Address, TouchKind)>) -> Vec<bool> {
    let items: OneOrMany<_> = items.map(|(address, kind)| TouchItem { address, kind }).collect();
    let count = items.len();
    let deadline = core.store_deadline(core.clock.now(), None);
    match core.call(Touch { items, scope: core.scope(Some(deadline)) }).await {
        Ok(touched) => touched.iter().map(Result::is_ok).collect(),
        Err(_) => vec![false; count],
    }
}

/// A key that is being loaded, and the duty to give its lease back whatever happens.
pub(super) struct Claim {
    core: Arc<Core>,
    pub(super) address: Address,
    right: Right,
    /// Until when a value is there that is served meanwhile: after a failure the lease is held for a while, so that the
    /// source has a pause.
    stale: Option<Tick>,
    phase: Phase,
    open: bool,
    /// What the near tier knew when the load began.
    as_of: Option<AsOf>,
    /// What it is to keep if the store is not there to take it.
    spare: Option<NewEntry>,
    /// With which others its lease is given back.
    bundle: Option<Arc<Bundle>>,
}

/// How far the load of a key has come.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Waiting,
    /// Since when, on the clock's finest line.
    Running(Duration),
    /// The loader has; the fill may have to.
    Ended,
}

impl Claim {
    pub(super) fn new(core: Arc<Core>, address: Address, right: Right, stale: Option<Tick>) -> Self {
        Self { core, address, right, stale, phase: Phase::Waiting, open: true, as_of: None, spare: None, bundle: None }
    }

    /// Has its lease given back together with those of a batch.
    pub(super) fn bundled(mut self, bundle: &Arc<Bundle>) -> Self {
        self.bundle = Some(Arc::clone(bundle));
        self
    }

    /// Counts the load that begins.
    pub(super) fn begins(&mut self) {
        self.as_of = self.core.service.near().and_then(|near| near.as_of(&self.address));
        self.phase = Phase::Running(self.core.clock.elapsed());
        self.core.counters.load_begins(matches!(self.right, Right::Degraded));
    }

    /// Counts how the load ended, and notes it in its span.
    fn ended(&mut self, result: Result<(), ErrorKind>) {
        let Phase::Running(begun) = self.phase else { return };
        self.phase = Phase::Ended;
        self.core.counters.loaded(result, self.core.clock.elapsed().saturating_sub(begun));
        span::ended(&Span::current(), result.map_or_else(CallResult::Error, |()| CallResult::Ok));
    }

    fn lease(&self) -> Option<(Address, Lease)> {
        match self.right {
            Right::Lease(lease) => Some((self.address.clone(), lease)),
            Right::Unleased | Right::Degraded => None,
        }
    }

    /// Returns the error of a recent failure that stands for a missing key.
    pub(super) fn standing(&self, now: Tick) -> Option<Error> {
        self.core.failures.as_ref().filter(|_| self.stale.is_none())?.standing(&self.address, now)
    }

    /// Says what lands, and what is to be filled before it does.
    pub(super) fn prepare(&mut self, produced: Result<Produced>, cost: Duration) -> (Option<SetItem>, Result<Landed>) {
        match produced {
            Ok(Produced::Store(mut entry)) => {
                entry.load_cost = cost;
                self.succeeded();
                let ttl = entry.lifetime.sliding().or_else(|| entry.lifetime.ttl());
                let value = (!entry.content.negative).then(|| entry.value.clone());
                let fill = self.fill(entry);
                let ttl = ttl.filter(|_| fill.is_some());
                (fill, Ok(Landed { value, ttl }))
            }
            Ok(Produced::Answer(value)) => {
                self.succeeded();
                self.release(Duration::ZERO);
                (None, Ok(Landed { value, ttl: None }))
            }
            Err(error) => {
                self.failed(&error);
                (None, Err(error))
            }
        }
    }

    fn fill(&mut self, entry: NewEntry) -> Option<SetItem> {
        let when = match self.right {
            Right::Lease(lease) => When::IfLease(lease.id),
            Right::Unleased => When::Always,
            Right::Degraded => {
                self.open = false;
                self.keep_here(entry);
                return None;
            }
        };
        self.spare = self.as_of.map(|_| entry.clone());
        Some(SetItem { address: self.address.clone(), entry, when })
    }

    /// Takes note of what became of the fill: what was not stored does not stay fresh.
    pub(super) fn filled(&mut self, stored: Result<Written>, landed: &mut Result<Landed>) {
        if let (Ok(landed), false) = (landed, matches!(stored, Ok(Written::Stored(_)))) {
            landed.ttl = None;
        }
        let counters = &self.core.counters;
        match stored {
            Ok(Written::Refused) => counters.filled(Fill::Refused),
            Ok(Written::Stored(_) | Written::NearOnly) => counters.filled(Fill::Stored),
            Err(error) => {
                tracing::debug!(kind = error.kind().as_str(), "a loaded value could not be stored");
                counters.filled(Fill::Failed);
                if let Some(entry) = self.spare.take().filter(|_| error.is_store_out_of_reach()) {
                    // The fill itself has dropped what was there.
                    self.as_of = self.as_of.map(AsOf::after_own_write);
                    self.keep_here(entry);
                }
                // The store may still hold the lease: what it refused must not keep others waiting.
                self.release(Duration::ZERO);
            }
        }
        self.open = false;
    }

    /// Has the near tier keep a value that the store is not there to take, unless its key changed since the load began.
    fn keep_here(&self, entry: NewEntry) {
        if let (Some(near), Some(as_of)) = (self.core.service.near(), self.as_of) {
            near.keep_unverified(&self.address, entry, as_of);
        }
    }

    /// The source is not asked. What is served meanwhile is left alone for a while.
    pub(super) fn refused(&mut self) {
        self.release(self.pause());
    }

    /// How long a source has a pause: once there is nothing to serve any more, the next caller is to load without
    /// waiting for the pause's end.
    fn pause(&self) -> Duration {
        let served = self.stale.map_or(Duration::ZERO, |until| until.since(self.core.clock.now()));
        served.min(self.core.settings.refresh_pause)
    }

    fn succeeded(&mut self) {
        self.ended(Ok(()));
        if let Some(failures) = &self.core.failures {
            failures.succeeded(&self.address);
        }
    }

    fn failed(&mut self, error: &Error) {
        self.ended(Err(error.kind()));
        if let Some(failures) = &self.core.failures {
            failures.failed(&self.address, error, self.core.clock.now());
        }
        self.release(self.pause());
    }

    /// Gives the lease back after a pause.
    pub(super) fn release(&mut self, pause: Duration) {
        self.open = false;
        let Some(lease) = self.lease() else { return };
        match &self.bundle {
            Some(bundle) => bundle.add(pause, lease),
            None => Bundle::new(&self.core).add(pause, lease),
        }
    }
}

impl Drop for Claim {
    /// The loader panicked, was abandoned, or its runtime ends: the lease goes back now instead of ageing out.
    fn drop(&mut self) {
        if self.open {
            match self.phase {
                Phase::Waiting => {}
                Phase::Running(_) => self.ended(Err(ErrorKind::LoadPanicked)),
                Phase::Ended => self.core.counters.filled(Fill::Failed),
            }
            self.release(Duration::ZERO);
        }
    }
}
