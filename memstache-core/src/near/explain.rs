//! What a near cache holds of a key, and how it is; changes nothing.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use super::{
    Near, NearView,
    copies::{Copies, Copy},
};
use crate::{
    clock::Tick,
    health::{Health, PartHealth},
    memory::{Hashed, Key, Past},
    request::{Consistency, Reason, Scope, TierReport},
};

/// The name of the near cache in explanations and health.
const TIER: &str = "near";

impl Copies {
    /// Explains one key; nothing for a read that passes near caches by.
    pub(super) fn explain(&self, key: &impl Key, scope: &Scope, now: Tick) -> Option<TierReport> {
        if scope.consistency == Consistency::Authority {
            return None;
        }
        let hash = Hashed::new(&self.hasher, key);
        let table = self.shard(hash).read();
        let Some(copy) = table.find(hash, key).and_then(|id| table.get(id)) else {
            return Some(TierReport::absent(TIER, table.past(hash).into()));
        };
        let mut report = TierReport::holds(TIER, copy.entry_held());
        report.reason = self.reason(copy, now);
        Some(report)
    }

    fn reason(&self, copy: Copy<'_>, now: Tick) -> Option<Reason> {
        if let Some(hidden) = self.hidden_by(copy) {
            return Some(Past::Went(hidden).into());
        }
        if now >= copy.dead_at() {
            return Some(Reason::Expired);
        }
        (!self.is_verified() || copy.extra().is_unverified()).then_some(Reason::Unverified)
    }

    fn health(&self) -> PartHealth {
        let stats = self.stats();
        let part = PartHealth::healthy(TIER)
            .with("entries", stats.entries)
            .with("bytes", stats.bytes)
            .with("max_bytes", self.shard_bytes * self.shards.len())
            .with("flushes", stats.flushes);
        if !stats.unverified {
            return part;
        }
        let since: Duration = self.clock.now().since(Tick::from_millis(self.unverified_since.load(SeqCst)));
        part.degraded("changes below are not heard of: copies are unverified").since(since)
    }
}

/// Degraded while the stream of changes is cut.
impl Health for NearView {
    fn health(&self) -> PartHealth {
        self.0.health()
    }
}

/// Degraded while the stream of changes is cut.
impl<S: Send + Sync + 'static> Health for Near<S> {
    fn health(&self) -> PartHealth {
        self.copies.health()
    }
}
