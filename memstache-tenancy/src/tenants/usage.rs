use memstache_core::observe::Resource;

use super::account::{Counts, Holds};
use crate::plan::Plan;

/// What a tenant has used since it was met, and what it holds.
///
/// The registry forgets tenants that hold nothing and were idle: their counts begin again.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Its plan; `None` for a tenant that is not known, and for a shared space that nothing limits.
    pub plan: Option<Plan>,
    /// Operations that were let through, each key of a batch being one, and reads that were answered by stale copies.
    pub operations: u64,
    /// Operations that were refused for their rate.
    pub refused_operations: u64,
    /// Loads that were not begun because too many were running.
    pub refused_loads: u64,
    /// Entries that were not stored for want of bytes or entries.
    pub refused_writes: u64,
    /// Bytes held: exactly in stores that keep account, and by estimate where [`QuotaLayer::estimating`] does.
    ///
    /// [`QuotaLayer::estimating`]: crate::QuotaLayer::estimating
    pub bytes: u64,
    /// Entries held, by the same rule.
    pub entries: u64,
    /// Loads that are running.
    pub loads_in_flight: u64,
}

impl Usage {
    pub(super) fn new(plan: Option<Plan>, counts: Counts, holds: Holds) -> Self {
        let refused = counts.refused();
        Self {
            plan,
            operations: counts.operations(),
            refused_operations: refused[Resource::Operations as usize],
            refused_loads: refused[Resource::Loads as usize],
            refused_writes: refused[Resource::Storage as usize],
            bytes: holds.bytes,
            entries: holds.entries,
            loads_in_flight: holds.loads,
        }
    }
}
