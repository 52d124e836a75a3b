//! What a keyring is told once.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use memstache_core::KeyspaceName;

use super::{
    line::{Millis, Retention},
    owner::KeyClass,
    places::Environment,
};

/// How long an unknown key id is remembered as unknown.
pub(super) const NEGATIVE: Duration = Duration::from_secs(1);

/// How far the clocks of two nodes may be apart.
pub(super) const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) environment: Environment,
    pub(super) refresh: Duration,
    pub(super) max_age: Duration,
    pub(super) max_stale: Duration,
    pub(super) derived_rotation: Option<Duration>,
    pub(super) master_rotation: Option<Duration>,
    pub(super) max_entry_ttl: Option<Duration>,
    pub(super) blind_names: bool,
    pub(super) classes: HashMap<Arc<str>, KeyClass, foldhash::fast::RandomState>,
    pub(super) default_class: KeyClass,
}

impl Settings {
    /// The class of a keyspace.
    pub(super) fn class(&self, keyspace: &str) -> &KeyClass {
        if self.classes.is_empty() {
            return &self.default_class;
        }
        self.classes.get(keyspace).unwrap_or(&self.default_class)
    }

    pub(super) fn map_class(&mut self, keyspace: &KeyspaceName, class: KeyClass) {
        self.classes.insert(keyspace.as_str().into(), class);
    }

    /// How long before its use a new version is made known.
    pub(super) fn spread(&self) -> Duration {
        2 * self.refresh
    }

    /// How long a copy of a key may be used after its record and its wrapping were last seen to be good.
    pub(super) fn usable(&self) -> Duration {
        self.max_age.max(self.max_stale)
    }

    /// `None` when nothing retires by itself.
    pub(super) fn retention(&self) -> Option<Retention> {
        let max_entry_ttl = self.max_entry_ttl?;
        Some(Retention { max_entry_ttl, max_skew: MAX_SKEW, max_lag: self.usable() })
    }
}

/// Whole milliseconds of a span, saturating.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Wall-clock time as records hold it.
pub(super) fn to_millis(time: SystemTime) -> Millis {
    time.duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// Wall-clock time of a record, for people.
pub(super) fn from_millis(time: Millis) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(time)).unwrap_or(UNIX_EPOCH)
}
