//! What tenants use, asked when somebody wants to know.

use std::sync::Arc;

use super::sample::{Sample, Value};
use crate::observe::{
    Instrument,
    instruments::{TENANT_ENTRIES, TENANT_LOADS, TENANT_OPERATIONS, TENANT_REFUSED, TENANT_SIZE},
};

/// Most tenants that have series of their own; what is told beyond them is left out.
pub const MAX_TENANTS: usize = 1000;

/// The name of all tenants that have none: no tenant can have it.
pub const OTHER_TENANTS: &str = "(other)";

/// The name of the shared space: no tenant can have it.
pub const SHARED_SPACE: &str = "(shared)";

/// What a tenant can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// An operation, for its rate.
    Operations,
    /// A load, for the number of those that run.
    Loads,
    /// A write, for the bytes or entries that are held.
    Storage,
}

impl Resource {
    /// Every one of them, in the order of their numbers.
    pub const ALL: &[Self] = &[Self::Operations, Self::Loads, Self::Storage];

    /// Returns the name that metrics show.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Loads => "loads",
            Self::Storage => "storage",
        }
    }
}

/// What one tenant, or all others together, has used and holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantUse {
    /// What it is called; [`OTHER_TENANTS`] for those that have no name.
    pub name: Arc<str>,
    /// Operations, one for each key. Never told to be less than before.
    pub operations: u64,
    /// What was refused, by [`Resource`]. Never told to be less than before.
    pub refused: [u64; Resource::ALL.len()],
    /// Bytes held.
    pub bytes: u64,
    /// Entries held.
    pub entries: u64,
    /// Loads that are running.
    pub loads: u64,
}

impl TenantUse {
    pub(super) fn samples(&self, out: &mut Vec<Sample>) {
        let mut add = |instrument: &'static Instrument, words: Vec<&'static str>, number: u64| {
            out.push(Sample { instrument, name: Some(Arc::clone(&self.name)), words, value: Value::Number(number) });
        };
        add(TENANT_OPERATIONS, Vec::new(), self.operations);
        for (resource, refused) in Resource::ALL.iter().zip(self.refused) {
            add(TENANT_REFUSED, vec![resource.as_str()], refused);
        }
        add(TENANT_SIZE, Vec::new(), self.bytes);
        add(TENANT_ENTRIES, Vec::new(), self.entries);
        add(TENANT_LOADS, Vec::new(), self.loads);
    }
}
