//! Which tenants there are, what they may use and what they have used.

mod account;
mod accounts;
mod board;
mod builder;
mod estimate;
mod sampling;
mod storage;
mod usage;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed},
        },
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use memstache_core::{
    Clock, Error, ErrorKind, Health, LoadGate, LoadPermit, PartHealth, Result, SampledUse, TenantId, UsageSampler,
    observe::{Registry, Resource},
};
use parking_lot::Mutex;

pub(crate) use self::storage::is_full;
use self::{account::Account, accounts::Accounts, board::Board};
pub use self::{
    board::{DEFAULT_NAMED, TenantMetrics},
    builder::TenantsBuilder,
    sampling::SamplingTask,
    usage::Usage,
};
use crate::{
    known::KnownTenants,
    plan::{Limits, OverQuota, Plan, Plans},
    quota::QuotaLayer,
};

/// The registry of tenants: what each may use, has used and holds. Clones are the same registry.
///
/// It has three places in a stack. [`meter`](crate::MeterTenants::meter) puts the first two there: the [`quota`](Self::quota)
/// layer, which limits operations, and the [gate](LoadGate) of loads. The third is the store's: as the
/// [`Accountant`](memstache_core::Accountant) of a memory store it limits bytes and entries.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_core::{Cache, ErrorKind, Json, MemoryStore, NearConfig, Stack, TenantId};
/// use memstache_tenancy::{MeterTenants, Plan, Plans, Tenants};
///
/// let free = Plan::builder("free").operations_per_second(50).burst(100).loads(4).bytes(1 << 20).build()?;
/// let tenants = Tenants::new(Plans::builder().plan(free).default_plan("free").build()?);
///
/// let store = MemoryStore::builder().max_bytes(32 << 20).accountant(tenants.clone()).build()?;
/// let stack = Stack::over(store).near(NearConfig::new(4 << 20)?).meter(tenants.quota()).build();
/// let cache = Cache::builder(stack).keyspace("products").format(Json).build_tenanted()?;
///
/// let acme = TenantId::new("acme")?;
/// let products = cache.for_tenant(&acme);
/// for n in 0..100 {
///     products.set(format!("{n}"), &n).await?;
/// }
/// let refused = products.set("100", &100).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Overloaded);
/// assert!(refused.retry_after().is_some());
///
/// let usage = tenants.usage(&acme);
/// assert_eq!((usage.operations, usage.refused_operations, usage.entries), (100, 1, 100));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tenants(Arc<Inner>);

struct Inner {
    accounts: Accounts,
    current: ArcSwap<Current>,
    reloading: Mutex<()>,
    clock: Arc<dyn Clock>,
    /// Bytes that all tenants hold, and the weights of those that hold any.
    held: AtomicU64,
    weights: AtomicU64,
    /// Calls for tenants that are not known.
    unknown: AtomicU64,
    board: Mutex<Board>,
}

/// The plans that stand now.
#[derive(Debug)]
struct Current {
    generation: u32,
    plans: Plans,
    unlimited: Plan,
}

impl Current {
    fn first(plans: Plans) -> Self {
        let unlimited = Plan::builder("unlimited").build().expect("it limits nothing");
        Self { generation: 1, plans, unlimited }
    }

    fn next(&self, plans: Plans) -> Self {
        // 0 is no generation: no account was ever looked up in it.
        let generation = self.generation.checked_add(1).unwrap_or(1);
        Self { generation, plans, unlimited: self.unlimited.clone() }
    }

    /// Returns what an account may use; `None` if its tenant is not known.
    fn limits(&self, account: &Account) -> Option<&Limits> {
        let Some(tenant) = account.tenant() else {
            return Some(self.plans.shared().unwrap_or(&self.unlimited).limits());
        };
        let place = account.plan(self.generation, || self.plans.find(tenant.as_str()))?;
        Some(self.plans.at(place).limits())
    }
}

/// An operation that a plan does not allow.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) error: Error,
    /// Whether a read is to be answered with what is there.
    pub(crate) serves_stale: bool,
}

impl From<Error> for Over {
    fn from(error: Error) -> Self {
        Self { error, serves_stale: false }
    }
}

impl Tenants {
    /// Creates a registry by the system's clock.
    pub fn new(plans: Plans) -> Self {
        Self::builder(plans).build().expect("the defaults are within their limits")
    }

    /// Starts building a registry.
    pub fn builder(plans: Plans) -> TenantsBuilder {
        TenantsBuilder::new(plans)
    }

    /// Returns the layer that meters operations; [`meter`](crate::MeterTenants::meter) puts it into its place.
    pub fn quota(&self) -> QuotaLayer {
        QuotaLayer::new(self.clone())
    }

    /// Replaces all plans, for all tenants at once.
    ///
    /// A call is judged by the plans that stood when it came: what was let through goes on, loads that run run to their
    /// end. What a tenant took from its burst stays taken, as far as the new burst goes. A tenant that holds more than it
    /// may now keeps it, and makes room or is refused when it writes again. A tenant that is not known any more is refused.
    pub fn reload(&self, plans: Plans) {
        let _one = self.0.reloading.lock();
        let next = Arc::new(self.0.current.load().next(plans));
        self.0.current.store(Arc::clone(&next));
        self.0.accounts.visit(|account| {
            let weight = next.limits(account).map_or(1, |limits| limits.weight);
            if account.entries() > 0 {
                self.settle(account, weight);
            }
        });
    }

    /// Returns the plans that stand now.
    pub fn plans(&self) -> Plans {
        self.0.current.load().plans.clone()
    }

    /// Returns what a tenant has used and holds. Nothing, for one that was never met.
    pub fn usage(&self, tenant: &TenantId) -> Usage {
        let plan = self.0.current.load().plans.of(tenant).cloned();
        self.usage_of(Some(tenant.as_str()), plan)
    }

    /// Returns what is used and held by nobody in particular.
    pub fn shared_usage(&self) -> Usage {
        let plan = self.0.current.load().plans.shared().cloned();
        self.usage_of(None, plan)
    }

    fn usage_of(&self, tenant: Option<&str>, plan: Option<Plan>) -> Usage {
        let now = self.now();
        let found = self.0.accounts.with(tenant, |account| (account.counts(), account.holds(now)));
        let (counts, holds) = found.unwrap_or_default();
        Usage::new(plan, counts, holds)
    }

    /// Returns the tenants with the most operations since they were met, the first one first. Goes through all tenants.
    pub fn top(&self, most: usize) -> Vec<(TenantId, Usage)> {
        let mut first: Vec<(u64, TenantId)> = Vec::new();
        self.0.accounts.visit(|account| {
            let (Some(tenant), operations) = (account.tenant(), account.counts().operations()) else { return };
            let at = first.partition_point(|(others, _)| *others >= operations);
            if at < most {
                first.truncate(most - 1);
                first.insert(at, (operations, tenant.clone()));
            }
        });
        first.into_iter().map(|(_, tenant)| (tenant.clone(), self.usage(&tenant))).collect()
    }

    /// Returns how many tenants are kept account of.
    pub fn len(&self) -> usize {
        self.0.accounts.len()
    }

    /// Returns whether no tenant is kept account of.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many calls came for tenants that are not known.
    pub fn unknown_calls(&self) -> u64 {
        self.0.unknown.load(Relaxed)
    }

    /// Forgets tenants that are idle and hold nothing, and returns how many. Opening accounts does so, too, a part at a
    /// time: nothing has to call this.
    pub fn sweep(&self) -> usize {
        self.0.accounts.sweep(self.now())
    }

    /// Has a registry of metrics tell what tenants use: see [`TenantMetrics`]. Another call for it takes this one's place.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for more names than there may be.
    ///
    /// ```
    /// use memstache_core::observe::Registry;
    /// use memstache_tenancy::{Plans, TenantMetrics, Tenants};
    ///
    /// let (registry, tenants) = (Registry::new(), Tenants::new(Plans::builder().build()?));
    /// tenants.publish(&registry, TenantMetrics::totals())?;
    /// assert!(registry.prometheus_text().contains("memstache_tenant_loads{memstache_tenant=\"(other)\"} 0\n"));
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn publish(&self, registry: &Registry, metrics: TenantMetrics) -> Result<()> {
        metrics.check()?;
        self.0.board.lock().set(metrics);
        let tenants = self.clone();
        registry.watch_tenants(move || tenants.0.board.lock().tell(&tenants.0.accounts, tenants.now()));
        Ok(())
    }

    /// Has somebody estimate what a tenant holds in a store where keys expire silently, and goes on from there.
    /// [`sample_every`](Self::sample_every) does so by itself.
    ///
    /// Errors: the sampler's; then what was thought stands.
    ///
    /// # Cancellation
    /// What was thought stands.
    pub async fn sample(&self, sampler: &(impl UsageSampler + ?Sized), tenant: &TenantId) -> Result<SampledUse> {
        let sample = sampler.sample(tenant).await?;
        self.sampled(tenant, sample)?;
        Ok(sample)
    }

    fn sampled(&self, tenant: &TenantId, sample: SampledUse) -> Result<()> {
        let now = self.now();
        self.with(Some(tenant.as_str()), |account, _| account.estimate(|estimate| estimate.sampled(now, sample)))
    }

    /// Takes note that a sample was asked for, whatever comes of it.
    fn asked(&self, tenant: &TenantId) {
        self.estimate(Some(tenant.as_str()), |estimate, now| estimate.asked(now));
    }

    pub(crate) fn now(&self) -> Duration {
        self.0.clock.elapsed()
    }

    /// Works on an account under the plans that stand now. Be short: accounts beside it cannot be opened meanwhile.
    ///
    /// Errors: `Invalid` for a tenant that is not known; `Overloaded` if there are too many.
    fn with<T>(&self, tenant: Option<&str>, work: impl FnOnce(&Arc<Account>, &Limits) -> T) -> Result<T> {
        let current = self.0.current.load();
        let mut work = Some(work);
        let mut run = |account: &Arc<Account>| {
            let limits = current.limits(account)?;
            work.take().map(|work| work(account, limits))
        };
        let done = match (self.0.accounts.with(tenant, &mut run).flatten(), tenant) {
            (Some(done), _) => Some(done),
            // An account is opened for those only who are known.
            (None, Some(name)) if current.plans.find(name).is_some() => run(&self.0.accounts.open(name, self.now())?),
            (None, _) => None,
        };
        done.ok_or_else(|| {
            self.0.unknown.fetch_add(1, Relaxed);
            Error::new(ErrorKind::Invalid, "the tenant is not known")
        })
    }

    /// Works on an account that there is, under the plans that stand now.
    fn peek<T>(&self, tenant: Option<&str>, work: impl FnOnce(&Arc<Account>, &Limits) -> T) -> Option<T> {
        let current = self.0.current.load();
        let work = |account: &Arc<Account>| current.limits(account).map(|limits| work(account, limits));
        self.0.accounts.with(tenant, work).flatten()
    }

    /// Lets operations of a tenant through, all or none.
    pub(crate) fn operate(&self, tenant: Option<&str>, count: u32) -> Result<(), Over> {
        let now = self.now();
        let judge = |account: &Arc<Account>, limits: &Limits| {
            account.operate(limits, now, count).map_err(|error| {
                let serves_stale = limits.over_operations == OverQuota::ServeStale && error.retry_after().is_some();
                Over { error, serves_stale }
            })
        };
        self.with(tenant, judge)?
    }

    /// Counts entries that were not stored for want of room.
    pub(crate) fn count_full(&self, tenant: Option<&str>, entries: u64) {
        self.0.accounts.with(tenant, |account| account.refused(Resource::Storage, entries));
    }

    /// Takes note of how long an entry of a tenant lives that was stored.
    pub(crate) fn wrote(&self, tenant: Option<&str>, ttl: Option<Duration>) {
        if let Some(ttl) = ttl {
            self.0.accounts.with(tenant, |account| account.wrote(ttl));
        }
    }

    /// Returns when there should be room for one more entry; `None` if nobody can guess.
    pub(crate) fn room_within(&self, tenant: Option<&str>) -> Option<Duration> {
        self.0.accounts.with(tenant, |account| account.room_within()).flatten()
    }

    /// Counts what became of operations that a plan did not allow.
    pub(crate) fn count_over(&self, tenant: Option<&str>, served: u64, refused: u64) {
        self.0.accounts.with(tenant, |account| {
            account.operated(served);
            account.refused(Resource::Operations, refused);
        });
    }

    /// Judges entries that are to be written by what the tenant is thought to hold.
    pub(crate) fn judge_estimate(&self, tenant: Option<&str>, bytes: u64, entries: u64) -> Result<()> {
        let now = self.now();
        self.with(tenant, |account, limits| {
            if limits.bytes.is_none() && limits.entries.is_none() {
                return Ok(());
            }
            account.estimate(|estimate| {
                let (held_bytes, held_entries) = estimate.at(now);
                let over = |held: u64, more: u64, most: Option<u64>| {
                    let most = most.filter(|most| held + more > *most)?;
                    Some(estimate.wait_for(held, most.saturating_sub(more)))
                };
                let over = [over(held_bytes, bytes, limits.bytes), over(held_entries, entries, limits.entries)];
                let Some(wait) = over.into_iter().flatten().reduce(|one, other| Some(one?.max(other?))) else {
                    return Ok(());
                };
                Err(match wait {
                    Some(wait) => storage::full().with_retry_after(wait),
                    None => storage::full(),
                })
            })
        })?
    }

    /// Works on what a tenant is thought to hold.
    pub(crate) fn estimate(&self, tenant: Option<&str>, work: impl FnOnce(&mut estimate::Estimate, Duration)) {
        let now = self.now();
        self.0.accounts.with(tenant, |account| account.estimate(|estimate| work(estimate, now)));
    }
}

/// Knows the tenants that have a plan: for a `Resolver`, so that nobody else gets as far as a handler.
impl KnownTenants for Tenants {
    fn is_known(&self, tenant: &TenantId) -> bool {
        self.0.current.load().plans.of(tenant).is_some()
    }
}

/// Bounds the loads of each tenant, whichever handle runs them and whether or not the store can be reached.
impl LoadGate for Tenants {
    fn enter(&self, tenant: Option<&str>) -> Result<LoadPermit> {
        self.with(tenant, |account, limits| account.enter(limits, &self.0.clock))?.map(LoadPermit::new)
    }
}

impl Health for Tenants {
    fn health(&self) -> PartHealth {
        let part = PartHealth::healthy("tenants").with("known", self.len()).with("unknown_calls", self.unknown_calls());
        part.with("bytes", self.0.held.load(Acquire))
    }
}

/// Names no tenant.
impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants")
            .field("tenants", &self.len())
            .field("plans", &self.0.current.load().plans)
            .finish_non_exhaustive()
    }
}
