//! What one tenant has used and holds.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use memstache_core::{Charge, Clock, Error, ErrorKind, Result, TenantId, observe::Resource, resilience::RateState};
use parking_lot::Mutex;

use super::estimate::Estimate;
use crate::plan::{Limits, OverQuota};

/// The account of a tenant, or of the shared space. Small, for there may be very many.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// `None`: the shared space.
    tenant: Option<TenantId>,
    /// The generation of the plans that were looked up, and what was found: see [`Generation`].
    plan: AtomicU64,
    rate: RateState,
    counts: [AtomicU64; COUNTS],
    bytes: AtomicU64,
    entries: AtomicU64,
    /// What is thought to be held where nobody counts exactly.
    estimate: OnceLock<Box<Mutex<Estimate>>>,
    loads: AtomicU32,
    /// How long its loads take, in milliseconds, weighted to the last ones; 0: none has ended.
    load_millis: AtomicU32,
    /// How long its entries live, in seconds, weighted to the last ones; 0: none with an end was stored.
    life: AtomicU32,
    /// When it was last used, in seconds.
    seen: AtomicU32,
    /// The weight with which it counts among those that hold something.
    weight: AtomicU32,
    /// Recent traffic, as bits; and the operations that are in it.
    traffic: AtomicU32,
    in_traffic: AtomicU64,
}

/// Operations, then what was refused by [`Resource`].
const COUNTS: usize = 1 + Resource::ALL.len();

/// What only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts(pub(crate) [u64; COUNTS]);

impl Counts {
    pub(crate) fn operations(&self) -> u64 {
        self.0[0]
    }

    pub(crate) fn refused(&self) -> [u64; Resource::ALL.len()] {
        let [_, refused @ ..] = self.0;
        refused
    }

    pub(crate) fn plus(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(count, other)| *count += other);
        self
    }

    pub(crate) fn less(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(count, other)| *count = count.saturating_sub(other));
        self
    }

    pub(crate) fn at_least(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(count, other)| *count = (*count).max(other));
        self
    }
}

/// What is held now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) loads: u64,
}

impl Account {
    pub(crate) fn new(tenant: Option<TenantId>, now: Duration) -> Self {
        Self { tenant, seen: AtomicU32::new(seconds(now)), ..Self::default() }
    }

    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    pub(crate) fn name(&self) -> &str {
        self.tenant.as_ref().map_or("", TenantId::as_str)
    }

    /// Returns what was found among the plans of a generation, looking it up once.
    pub(crate) fn plan(&self, generation: u32, find: impl FnOnce() -> Option<u32>) -> Option<u32> {
        let packed = self.plan.load(Acquire);
        if (packed >> 32) as u32 == generation {
            return (packed as u32).checked_sub(1);
        }
        let found = find();
        let packed = u64::from(generation) << 32 | found.map_or(0, |place| u64::from(place) + 1);
        self.plan.store(packed, Release);
        found
    }

    /// Lets operations through, all or none.
    pub(crate) fn operate(&self, limits: &Limits, now: Duration, count: u32) -> Result<()> {
        self.seen.store(seconds(now), Relaxed);
        if let Some(rate) = &limits.rate {
            self.rate.try_take(&rate.config, now, count).map_err(|error| match error.retry_after() {
                Some(wait) => Error::new(ErrorKind::Overloaded, "the tenant is over its operations a second")
                    .without_effect()
                    .with_retry_after(wait),
                None => {
                    let limit = format_args!("at most the burst of the tenant's plan ({})", rate.burst);
                    Error::invalid("the number of items of a call", limit, count)
                }
            })?;
        }
        self.counts[0].fetch_add(count.into(), Relaxed);
        Ok(())
    }

    /// Counts what was answered although the rate did not allow it.
    pub(crate) fn operated(&self, count: u64) {
        self.counts[0].fetch_add(count, Relaxed);
    }

    pub(crate) fn refused(&self, resource: Resource, count: u64) {
        self.counts[1 + resource as usize].fetch_add(count, Relaxed);
    }

    /// Lets a load begin.
    pub(crate) fn enter(self: &Arc<Self>, limits: &Limits, clock: &Arc<dyn Clock>) -> Result<Loading> {
        let most = limits.loads.unwrap_or(u32::MAX);
        let free = |running: u32| (running < most).then_some(running + 1);
        match self.loads.fetch_update(AcqRel, Acquire, free) {
            Ok(_) => Ok(Loading { account: Arc::clone(self), began: clock.elapsed(), clock: Arc::clone(clock) }),
            Err(running) => {
                self.refused(Resource::Loads, 1);
                let error = Error::new(ErrorKind::Overloaded, "the tenant runs as many loads as its plan allows");
                Err(self.load_ends_within(running).into_iter().fold(error, Error::with_retry_after))
            }
        }
    }

    /// When one of the loads that run should have ended, if they take as long as those before did.
    fn load_ends_within(&self, running: u32) -> Option<Duration> {
        let each = Duration::from_millis(self.load_millis.load(Relaxed).into());
        (!each.is_zero()).then(|| (each / running.max(1)).max(Duration::from_millis(1)))
    }

    /// Takes note that a load has ended.
    fn loaded(&self, took: Duration) {
        let took = u32::try_from(took.as_millis()).unwrap_or(u32::MAX).max(1);
        let mean = |before: u32| if before == 0 { took } else { before.midpoint(took).max(1) };
        let _ = self.load_millis.fetch_update(Relaxed, Relaxed, |before| Some(mean(before)));
        self.loads.fetch_sub(1, AcqRel);
    }

    /// Takes note of how long an entry lives that was stored.
    pub(crate) fn wrote(&self, ttl: Duration) {
        // Where all live equally long, it is exactly that.
        let ttl = seconds(ttl).max(1);
        let mean = |before: u32| if before == 0 { ttl } else { before.midpoint(ttl).max(1) };
        let before = self.life.load(Relaxed);
        if before != ttl {
            // One of two writers at once may be lost: it is a guess.
            self.life.store(mean(before), Relaxed);
        }
    }

    /// When one of its entries should have expired, if they live as long as those that were stored last.
    pub(crate) fn room_within(&self) -> Option<Duration> {
        let (life, entries) = (Duration::from_secs(self.life.load(Relaxed).into()), self.entries().max(1));
        let each = life / u32::try_from(entries).unwrap_or(u32::MAX);
        (!life.is_zero()).then(|| each.max(Duration::from_secs(1)))
    }

    /// Charges exactly what fits, or nothing.
    pub(crate) fn charge(&self, limits: &Limits, charge: Charge) -> Result<(), OverQuota> {
        let (bytes, entries) = (charge.bytes as u64, charge.entries as u64);
        let take = |held: &AtomicU64, more: u64, most: Option<u64>| {
            let fits =
                |held: u64| held.checked_add(more).filter(|all| more == 0 || most.is_none_or(|most| *all <= most));
            held.fetch_update(AcqRel, Acquire, fits).map(drop)
        };
        take(&self.bytes, bytes, limits.bytes).map_err(|_| limits.over_bytes)?;
        take(&self.entries, entries, limits.entries).map_err(|_| {
            self.bytes.fetch_sub(bytes, AcqRel);
            limits.over_entries
        })
    }

    pub(crate) fn release(&self, charge: Charge) {
        let less = |held: &AtomicU64, less: usize| {
            held.fetch_update(AcqRel, Acquire, |held| Some(held.saturating_sub(less as u64))).unwrap_or_default()
        };
        less(&self.bytes, charge.bytes);
        less(&self.entries, charge.entries);
    }

    /// Returns whether a charge that does not fit would, if other entries of the tenant went for it, and whether they may.
    pub(crate) fn makes_room(&self, limits: &Limits, charge: Charge) -> bool {
        let evicts = |held: u64, more: u64, most: Option<u64>, over: OverQuota| {
            let fits_now = most.is_none_or(|most| held.saturating_add(more) <= most);
            fits_now || over == OverQuota::EvictOwn && most.is_none_or(|most| more <= most)
        };
        evicts(self.bytes(), charge.bytes as u64, limits.bytes, limits.over_bytes)
            && evicts(self.entries(), charge.entries as u64, limits.entries, limits.over_entries)
    }

    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Acquire)
    }

    /// Sets the weight with which it counts, and returns the one before.
    pub(crate) fn weigh(&self, weight: u32) -> u32 {
        if self.weight.load(Acquire) == weight { weight } else { self.weight.swap(weight, AcqRel) }
    }

    /// Returns when a sample of what is thought to be held was last asked for; `None` if nothing is.
    pub(crate) fn estimated_since(&self, now: Duration) -> Option<Duration> {
        self.estimate.get()?.lock().since(now)
    }

    /// Works on what is thought to be held.
    pub(crate) fn estimate<T>(&self, work: impl FnOnce(&mut Estimate) -> T) -> T {
        work(&mut self.estimate.get_or_init(Box::default).lock())
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts(std::array::from_fn(|at| self.counts[at].load(Relaxed)))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Acquire)
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Acquire)
    }

    pub(crate) fn holds(&self, now: Duration) -> Holds {
        let (bytes, entries) = self.estimate.get().map_or((0, 0), |estimate| estimate.lock().at(now));
        Holds { bytes: self.bytes() + bytes, entries: self.entries() + entries, loads: self.loads.load(Acquire).into() }
    }

    /// Returns whether nothing would be lost with it but counts.
    pub(crate) fn is_at_rest(&self, now: Duration, idle: Duration) -> bool {
        let quiet = seconds(now).saturating_sub(self.seen.load(Relaxed)) >= seconds(idle).max(1);
        quiet && self.rate.is_whole(now) && self.holds(now) == Holds::default()
    }

    /// Has recent traffic fade, adds what came since, and returns it.
    pub(crate) fn traffic(&self, fades_to: f32) -> f32 {
        let operations = self.counts().operations();
        let since = operations.saturating_sub(self.in_traffic.swap(operations, Relaxed));
        let traffic = f32::from_bits(self.traffic.load(Relaxed)) * fades_to + since as f32;
        self.traffic.store(traffic.to_bits(), Relaxed);
        traffic
    }
}

/// A load that is running.
#[derive(Debug)]
pub(crate) struct Loading {
    account: Arc<Account>,
    began: Duration,
    clock: Arc<dyn Clock>,
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.account.loaded(self.clock.elapsed().saturating_sub(self.began));
    }
}

/// Whole seconds, as far as they go.
fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}
