//! Putting right, in the background, what tenants are thought to hold.

use std::{
    collections::BinaryHeap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::{Either, select};
use memstache_core::{Clock, Error, Result, TenantId, UsageSampler};
use tokio::task::JoinHandle;

use super::{Inner, Tenants};

/// Tenants that are sampled between two looks at all of them.
const ROUND: usize = 64;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The background task of [`Tenants::sample_every`]; dropping it ends the task. It also ends with the last clone of the
/// registry.
#[must_use = "dropping the task ends it"]
pub struct SamplingTask {
    task: JoinHandle<()>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    failed: AtomicU64,
}

impl SamplingTask {
    /// Returns how many samples were taken.
    pub fn samples(&self) -> u64 {
        self.counts.done.load(Relaxed)
    }

    /// Returns how many failed, or took longer than the interval.
    pub fn failed_samples(&self) -> u64 {
        self.counts.failed.load(Relaxed)
    }
}

impl Drop for SamplingTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for SamplingTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamplingTask").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl Tenants {
    /// Has [`sample`](Self::sample) called in the background, until what it returns is dropped.
    ///
    /// In every interval those tenants are sampled that are thought to hold something and whose plan limits bytes or entries:
    /// one after the other, 64 at most, the one whose last sample is oldest first. A sample that fails, or takes longer than
    /// the interval, leaves what was thought; the tenant's turn comes again after the others'.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// use std::time::Duration;
    /// use memstache_core::{BoxFuture, Result, SampledUse, TenantId, UsageSampler};
    /// use memstache_tenancy::{Plans, Tenants};
    ///
    /// # #[derive(Debug)] struct Told;
    /// # impl UsageSampler for Told {
    /// #     fn sample<'a>(&'a self, _: &'a TenantId) -> BoxFuture<'a, Result<SampledUse>> { Box::pin(async { Ok(SampledUse::new(0, 0)) }) }
    /// # }
    /// # let store = Told;
    /// let tenants = Tenants::new(Plans::builder().build()?);
    /// let task = tenants.sample_every(Duration::from_secs(60), store)?; // such as a `RedisStore`
    /// assert_eq!(task.samples(), 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](memstache_core::ErrorKind::Invalid) for an interval that is not a second to a day long.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn sample_every(&self, interval: Duration, sampler: impl UsageSampler) -> Result<SamplingTask> {
        if !(SHORTEST..=LONGEST).contains(&interval) {
            let limit = format_args!("from {SHORTEST:?} to {LONGEST:?}");
            return Err(Error::invalid("the interval of samples", limit, format_args!("{interval:?}")));
        }
        let counts = Arc::new(Counts::default());
        let (clock, told) = (Arc::clone(&self.0.clock), Arc::clone(&counts));
        let task = tokio::spawn(run(Arc::downgrade(&self.0), clock, interval, sampler, told));
        Ok(SamplingTask { task, counts })
    }

    /// The tenants whose turn it is.
    fn due(&self) -> Vec<TenantId> {
        let current = self.0.current.load();
        // The greatest of what is kept is the one that was sampled last.
        let mut oldest: BinaryHeap<(Duration, TenantId)> = BinaryHeap::new();
        let now = self.now();
        self.0.accounts.visit(|account| {
            let (Some(tenant), Some(limits)) = (account.tenant(), current.limits(account)) else { return };
            if limits.bytes.is_none() && limits.entries.is_none() {
                return;
            }
            let Some(asked) = account.estimated_since(now) else { return };
            if oldest.len() < ROUND {
                return oldest.push((asked, tenant.clone()));
            }
            // Names part those that were sampled at the same time, so that the order is not that of a map.
            if let Some(mut latest) = oldest.peek_mut()
                && (asked, tenant) < (latest.0, &latest.1)
            {
                *latest = (asked, tenant.clone());
            }
        });
        oldest.into_sorted_vec().into_iter().map(|(_, tenant)| tenant).collect()
    }
}

async fn run(
    registry: Weak<Inner>,
    clock: Arc<dyn Clock>,
    interval: Duration,
    sampler: impl UsageSampler,
    counts: Arc<Counts>,
) {
    loop {
        let next = clock.now().after(interval);
        clock.sleep_until(next).await;
        let Some(inner) = registry.upgrade() else { return };
        let (tenants, until) = (Tenants(inner), clock.now().after(interval));
        let due = tenants.due();
        // Not held while waiting: the task must not keep the registry alive.
        drop(tenants);
        for tenant in due {
            let Some(inner) = registry.upgrade() else { return };
            let tenants = Tenants(inner);
            tenants.asked(&tenant);
            drop(tenants);
            let sample = std::pin::pin!(sampler.sample(&tenant));
            let outcome = match select(sample, clock.sleep_until(until)).await {
                Either::Left((outcome, _)) => outcome.ok(),
                Either::Right(_) => None,
            };
            let Some(inner) = registry.upgrade() else { return };
            let taken = outcome.is_some_and(|sample| Tenants(inner).sampled(&tenant, sample).is_ok());
            (if taken { &counts.done } else { &counts.failed }).fetch_add(1, Relaxed);
            if clock.now() >= until {
                break;
            }
        }
    }
}
