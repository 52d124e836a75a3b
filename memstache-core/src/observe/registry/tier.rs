//! What the tiers of a cache hold, asked when somebody wants to know.

use std::sync::Arc;

use super::sample::{Sample, Value};
use crate::observe::instruments::{TIER_ENTRIES, TIER_EVICTIONS, TIER_HITS, TIER_SIZE};

/// A place that holds entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// The near cache.
    Near,
    /// The store.
    Store,
}

impl Tier {
    /// Every one of them.
    pub const ALL: &[Self] = &[Self::Near, Self::Store];

    /// Returns the name that metrics show.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Store => "store",
        }
    }
}

/// What a tier holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierUse {
    /// Entries held.
    pub entries: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Reads answered with a value.
    pub hits: u64,
    /// Entries that went for want of room; `None` if the tier does not count them.
    pub evictions: Option<u64>,
}

#[cfg(feature = "memory")]
impl From<crate::memory::MemoryStats> for TierUse {
    fn from(stats: crate::memory::MemoryStats) -> Self {
        Self {
            entries: stats.entries as u64,
            bytes: stats.bytes as u64,
            hits: stats.hits + stats.stale,
            evictions: Some(stats.evictions),
        }
    }
}

#[cfg(feature = "near")]
impl From<crate::near::NearStats> for TierUse {
    fn from(stats: crate::near::NearStats) -> Self {
        Self { entries: stats.entries as u64, bytes: stats.bytes as u64, hits: stats.hits, evictions: None }
    }
}

/// A question.
#[derive(Clone)]
pub(super) struct Watched(pub(super) Arc<dyn Fn() -> TierUse + Send + Sync>);

impl Watched {
    pub(super) fn samples(&self, cache: &Arc<str>, tier: Tier, out: &mut Vec<Sample>) {
        let TierUse { entries, bytes, hits, evictions } = (self.0)();
        let numbers = [(TIER_ENTRIES, entries), (TIER_SIZE, bytes), (TIER_HITS, hits)];
        let evictions = evictions.map(|evictions| (TIER_EVICTIONS, evictions));
        out.extend(numbers.into_iter().chain(evictions).map(|(instrument, number)| Sample {
            instrument,
            name: Some(Arc::clone(cache)),
            words: vec![tier.as_str()],
            value: Value::Number(number),
        }));
    }
}
