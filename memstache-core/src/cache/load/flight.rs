//! A load in the air: it keeps its lease alive, ends in time, fills and lands.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};

use super::super::{
    core::{Core, not_one},
    counters::bump,
};
use crate::{
    address::Address,
    clock::{BoxFuture, Tick},
    entry::NewEntry,
    error::{Error, ErrorKind, Result},
    request::{Lease, OneOrMany, Set, SetItem, Touch, TouchItem, TouchKind, When, Written},
    util::until,
};

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
            Self::Unleased | Self::Degraded => 0,
        }
    }
}

/// Runs a load to its end: the loader within its time, the lease kept alive, the fill.
pub(super) async fn load(
    core: Arc<Core>,
    address: Address,
    right: Right,
    refreshes: bool,
    produce: BoxFuture<'static, Result<Produced>>,
) -> Result<Landed> {
    let mut claim = Claim::new(Arc::clone(&core), address, right, refreshes);
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
        let Some(heartbeat) = claims.iter().filter_map(Claim::lease).map(|lease| lease.ttl / 2).min() else {
            return std::future::pending().await;
        };
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
    /// A stale value is there: after a failure its lease is held for a while, so that the source has a pause.
    refreshes: bool,
    open: bool,
}

impl Claim {
    pub(super) fn new(core: Arc<Core>, address: Address, right: Right, refreshes: bool) -> Self {
        Self { core, address, right, refreshes, open: true }
    }

    fn lease(&self) -> Option<&Lease> {
        match &self.right {
            Right::Lease(lease) => Some(lease),
            Right::Unleased | Right::Degraded => None,
        }
    }

    /// Returns the error of a recent failure that stands for a missing key.
    pub(super) fn standing(&self, now: Tick) -> Option<Error> {
        self.core.failures.as_ref().filter(|_| !self.refreshes)?.standing(&self.address, now)
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
            Right::Degraded => {
                self.open = false;
                return None;
            }
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
        if let Some(failures) = &self.core.failures {
            failures.failed(&self.address, error, self.core.clock.now());
        }
        self.release(if self.refreshes { self.core.settings.refresh_pause } else { Duration::ZERO });
    }

    /// Gives the lease back after a pause, in a task that ends with the pause and one bounded store call.
    pub(super) fn release(&mut self, pause: Duration) {
        self.open = false;
        let (Some(lease), Ok(runtime)) = (self.lease(), tokio::runtime::Handle::try_current()) else { return };
        let (core, kind) = (Arc::clone(&self.core), TouchKind::Release(lease.id));
        let mut touch = Touch::one(self.address.clone(), kind);
        runtime.spawn(async move {
            if !pause.is_zero() {
                core.clock.sleep_until(core.clock.now().after(pause)).await;
            }
            touch.scope.deadline = Some(core.store_deadline(core.clock.now(), None));
            drop(core.call(touch).await);
        });
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
