//! A load in the air: it keeps its lease alive, ends in time, fills and lands.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};

use super::super::{
    core::{Core, UNLEASED, not_one},
    counters::bump,
};
use crate::{
    address::Address,
    clock::{BoxFuture, Tick},
    entry::NewEntry,
    error::{Error, ErrorKind, Result},
    request::{Lease, LeaseId, Lookup, OneOrMany, Set, SetItem, Touch, TouchItem, TouchKind, When, Written},
    util::until,
};

/// Least time between two renewals.
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

/// Runs a load to its end: the loader within its time, the lease kept alive, the fill.
pub(super) async fn load(
    core: Arc<Core>,
    address: Address,
    right: Right,
    stale_until: Option<Tick>,
    produce: BoxFuture<'static, Result<Produced>>,
) -> Result<Landed> {
    let mut claim = Claim::new(Arc::clone(&core), address, right, stale_until);
    let started = core.clock.now();
    if let Some(error) = claim.standing(started) {
        claim.release(Duration::ZERO);
        return Err(error);
    }
    bump(&core.counters.loads);
    let produced = bounded(&core, started, keeping(&core, std::slice::from_ref(&claim), produce)).await;
    let (fill, landed) = claim.prepare(produced, core.clock.now().since(started));
    if let Some(item) = fill {
        claim.filled(store(&core, OneOrMany::One(item)).await.pop().unwrap_or_else(|| Err(not_one())));
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

/// Bounds a loader by the cache's load timeout.
pub(super) async fn bounded<T>(core: &Arc<Core>, started: Tick, load: impl Future<Output = Result<T>>) -> Result<T> {
    let deadline = started.after(core.settings.load_timeout);
    let late = || Err(Error::new(ErrorKind::Timeout, "the loader did not end within the load timeout"));
    until(&core.clock, Some(deadline), load).await.unwrap_or_else(late)
}

/// Runs a loader and renews the leases of what it loads.
pub(super) async fn keeping<T>(core: &Arc<Core>, claims: &[Claim], load: impl Future<Output = T>) -> T {
    match select(pin!(load), pin!(renew(core, claims))).await {
        Either::Left((output, _)) => output,
        Either::Right((never, _)) => match never {},
    }
}

/// Renews leases once a heartbeat, for as long as it is polled.
async fn renew(core: &Arc<Core>, claims: &[Claim]) -> std::convert::Infallible {
    loop {
        let Some(ttl) = claims.iter().filter_map(Claim::lease).map(|lease| lease.ttl).min() else {
            return std::future::pending().await;
        };
        // A store may say anything; without a pause this would spin.
        let heartbeat = (ttl / 2).max(SHORTEST_HEARTBEAT);
        core.clock.sleep_until(core.clock.now().after(heartbeat)).await;
        let renewal = |claim: &Claim| {
            let kind = TouchKind::Renew(claim.lease()?.id);
            Some(TouchItem { address: claim.address.clone(), kind })
        };
        let deadline = core.store_deadline(core.clock.now(), None);
        let items = claims.iter().filter_map(renewal).collect();
        // A lease that is lost, or a store that is gone, shows when the flight fills.
        drop(core.call(Touch { items, scope: core.scope(Some(deadline)) }).await);
    }
}

/// A key that is being loaded, and the duty to give its lease back whatever happens.
pub(super) struct Claim {
    core: Arc<Core>,
    pub(super) address: Address,
    right: Right,
    /// Until when a value is there that may be served: after a failure the lease is held for a while, but not for
    /// longer, so that the source has a pause.
    stale_until: Option<Tick>,
    open: bool,
}

impl Claim {
    pub(super) fn new(core: Arc<Core>, address: Address, right: Right, stale_until: Option<Tick>) -> Self {
        Self { core, address, right, stale_until, open: true }
    }

    fn lease(&self) -> Option<&Lease> {
        match &self.right {
            Right::Lease(lease) => Some(lease),
            Right::Unleased | Right::Degraded => None,
        }
    }

    /// Returns the error of a recent failure that stands for a missing key.
    pub(super) fn standing(&self, now: Tick) -> Option<Error> {
        self.core.failures.as_ref().filter(|_| self.stale_until.is_none())?.standing(&self.address, now)
    }

    /// Says what lands, and what is to be filled before it does.
    pub(super) fn prepare(&mut self, produced: Result<Produced>, cost: Duration) -> (Option<SetItem>, Result<Landed>) {
        match produced {
            Ok(Produced::Store(mut entry)) => {
                entry.load_cost = cost;
                self.succeeded();
                let ttl = entry.lifetime.sliding().or_else(|| entry.lifetime.ttl());
                let value = (!entry.content.negative).then(|| entry.value.clone());
                (self.fill(entry), Ok(Landed { value, ttl }))
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
            Right::Degraded => return None,
        };
        Some(SetItem { address: self.address.clone(), entry, when })
    }

    /// Takes note of what became of the fill.
    pub(super) fn filled(&mut self, stored: Result<Written>) {
        let counters = &self.core.counters;
        match stored {
            Ok(Written::Refused) => bump(&counters.fills_refused),
            Ok(Written::Stored(_)) => {}
            Err(error) => {
                tracing::debug!(kind = error.kind().as_str(), "a loaded value could not be stored");
                bump(&counters.fills_failed);
                // The store may still hold the lease: what it refused must not keep others waiting.
                self.release(Duration::ZERO);
            }
        }
        self.open = false;
    }

    fn succeeded(&self) {
        if let Some(failures) = &self.core.failures {
            failures.succeeded(&self.address);
        }
    }

    fn failed(&mut self, error: &Error) {
        bump(&self.core.counters.load_failures);
        let now = self.core.clock.now();
        if let Some(failures) = &self.core.failures {
            failures.failed(&self.address, error, now);
        }
        let pause = |until: Tick| self.core.settings.refresh_pause.min(until.since(now));
        self.release(self.stale_until.map_or(Duration::ZERO, pause));
    }

    /// Gives the lease back after a pause.
    pub(super) fn release(&mut self, pause: Duration) {
        self.open = false;
        if let Some(lease) = self.lease() {
            give_back(&self.core, self.address.clone(), lease.id, pause);
        }
    }
}

/// Gives a lease back after a pause, in a task that ends with the pause and one bounded store call.
fn give_back(core: &Arc<Core>, address: Address, lease: LeaseId, pause: Duration) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let (core, mut touch) = (Arc::clone(core), Touch::one(address, TouchKind::Release(lease)));
    runtime.spawn(async move {
        if !pause.is_zero() {
            core.clock.sleep_until(core.clock.now().after(pause)).await;
        }
        touch.scope.deadline = Some(core.store_deadline(core.clock.now(), None));
        drop(core.call(touch).await);
    });
}

/// Leases that the store granted and that no flight has yet: a value that panics when it is opened gives them back.
pub(super) struct Granted {
    core: Arc<Core>,
    leases: Vec<(Address, LeaseId)>,
}

impl Granted {
    pub(super) fn of<'a>(core: &Arc<Core>, found: impl IntoIterator<Item = (&'a Address, &'a Result<Lookup>)>) -> Self {
        let lease = |(address, found): (&Address, &Result<Lookup>)| match found {
            Ok(Lookup::Leased(lease) | Lookup::Stale(_, Some(lease))) => Some((address.clone(), lease.id)),
            _ => None,
        };
        Self { core: Arc::clone(core), leases: found.into_iter().filter_map(lease).collect() }
    }

    /// Flights have them now.
    pub(super) fn taken(mut self) {
        self.leases.clear();
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        let core = &self.core;
        self.leases.drain(..).for_each(|(address, lease)| give_back(core, address, lease, Duration::ZERO));
    }
}

impl Drop for Claim {
    /// The loader panicked, was abandoned, or its runtime ends: the lease goes back now instead of ageing out.
    fn drop(&mut self) {
        if self.open {
            bump(&self.core.counters.load_failures);
            self.release(Duration::ZERO);
        }
    }
}
