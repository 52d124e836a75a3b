//! What a tenant may use.

mod assigned;
mod builder;
mod over;

use std::{fmt, sync::Arc};

use memstache_core::resilience::RateConfig;

pub(crate) use self::builder::all_of;
pub use self::{
    assigned::{Plans, PlansBuilder},
    builder::PlanBuilder,
    over::OverQuota,
};

/// Largest weight of a plan.
pub const MAX_WEIGHT: u32 = 1000;

/// What each tenant of a kind may use, and what happens when it wants more. Cheap to clone.
///
/// Nothing is limited unless it is set.
///
/// ```
/// use memstache_tenancy::{OverQuota, Plan};
///
/// let gold = Plan::builder("gold")
///     .operations_per_second(500)
///     .burst(2000)
///     .loads(16)
///     .bytes(64 << 20)
///     .over_bytes(OverQuota::Refuse)
///     .weight(4)
///     .build()?;
/// assert_eq!(gold.name(), "gold");
///
/// let wrong = Plan::builder("").operations_per_second(0).loads(0).build().unwrap_err().to_string();
/// assert!(wrong.contains("plan name") && wrong.contains("per_second") && wrong.contains("loads")); // all at once
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Plan(Arc<Limits>);

pub(crate) struct Limits {
    pub(crate) name: Arc<str>,
    pub(crate) rate: Option<Rate>,
    pub(crate) loads: Option<u32>,
    pub(crate) bytes: Option<u64>,
    pub(crate) entries: Option<u64>,
    pub(crate) weight: u32,
    pub(crate) over_operations: OverQuota,
    pub(crate) over_bytes: OverQuota,
    pub(crate) over_entries: OverQuota,
}

/// Operations a second, and at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
    pub(crate) config: RateConfig,
}

impl Plan {
    /// Starts a plan of this name: 1 to 64 bytes of `[A-Za-z0-9._-]`.
    pub fn builder(name: impl Into<String>) -> PlanBuilder {
        PlanBuilder::new(name.into())
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns how many operations a second are let through; `None` for any number.
    pub fn operations_per_second(&self) -> Option<u32> {
        self.0.rate.map(|rate| rate.per_second)
    }

    /// Returns how many operations are let through at once; `None` for any number.
    pub fn burst(&self) -> Option<u32> {
        self.0.rate.map(|rate| rate.burst)
    }

    /// Returns how many loads may run at once; `None` for any number.
    pub fn loads(&self) -> Option<u32> {
        self.0.loads
    }

    /// Returns how many bytes may be held; `None` for any number.
    pub fn bytes(&self) -> Option<u64> {
        self.0.bytes
    }

    /// Returns how many entries may be held; `None` for any number.
    pub fn entries(&self) -> Option<u64> {
        self.0.entries
    }

    /// Returns the tenant's weight where tenants share a store.
    pub fn weight(&self) -> u32 {
        self.0.weight
    }

    /// Returns what happens over the limit of operations.
    pub fn over_operations(&self) -> OverQuota {
        self.0.over_operations
    }

    /// Returns what happens over the limit of bytes.
    pub fn over_bytes(&self) -> OverQuota {
        self.0.over_bytes
    }

    /// Returns what happens over the limit of entries.
    pub fn over_entries(&self) -> OverQuota {
        self.0.over_entries
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("name", &self.name())
            .field("operations_per_second", &self.operations_per_second())
            .field("burst", &self.burst())
            .field("loads", &self.loads())
            .field("bytes", &self.bytes())
            .field("entries", &self.entries())
            .field("weight", &self.weight())
            .finish_non_exhaustive()
    }
}
