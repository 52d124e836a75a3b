//! The keys that are written and read, and what is true of them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use memstache_core::{
    TenantId,
    testing::{History, Stamp, WriteOutcome},
};

use crate::tally::Tally;

/// Two tenants with keys of the same names.
pub(crate) const TENANTS: [&str; 2] = ["acme", "globex"];
/// Keys of each tenant and writer, in each of the two ways.
const KEYS: usize = 8;

/// How the load is made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) span: Duration,
    /// How long a value lives.
    pub(crate) ttl: Duration,
    /// How old an answer may be that its authority has not confirmed since.
    pub(crate) max_staleness: Duration,
    /// By how much an answer may lag behind: nothing, unless a failover may lose what was acknowledged.
    pub(crate) bound: Duration,
    /// The same for a near cache that hears of changes by the store.
    pub(crate) near_bound: Duration,
    pub(crate) writers: usize,
    pub(crate) readers: usize,
    /// Between two operations of a task.
    pub(crate) pace: Duration,
    pub(crate) seed: u64,
}

/// One key, with the one task that writes it.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) tenant: &'static str,
    pub(crate) name: String,
    pub(crate) writer: u32,
    /// Where its versions come from: the source of loaded values.
    version: Arc<AtomicU64>,
}

impl Key {
    pub(crate) fn tenant_id(&self) -> TenantId {
        TenantId::new(self.tenant).expect("a tenant of ours has a proper name")
    }

    /// The next version, which from now on is what the source has.
    pub(crate) fn advance(&self) -> Stamp {
        self.stamp(self.version.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// What the source has.
    pub(crate) fn current(&self) -> Stamp {
        self.stamp(self.version.load(Ordering::SeqCst))
    }

    fn stamp(&self, version: u64) -> Stamp {
        Stamp::new(self.tenant, self.name.as_str(), version, self.writer)
    }
}

/// What all tasks share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) started: Instant,
    /// Written to the cache by their writers.
    pub(crate) written: Vec<Key>,
    /// Loaded from a source, which their writers change.
    pub(crate) loaded: Vec<Key>,
    seen: Mutex<Seen>,
}

/// What the tasks recorded.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) history: History,
    pub(crate) plain: Tally,
    pub(crate) near: Tally,
    pub(crate) loaded: Tally,
    pub(crate) writes: Tally,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let (written, loaded) = (keys("written", plan.writers), keys("loaded", plan.writers));
        let mut seen = Seen::default();
        for key in &loaded {
            // The source has it without anybody's word.
            seen.history.stored(&key.current(), Duration::ZERO, WriteOutcome::Unknown);
        }
        Self { plan, started: Instant::now(), written, loaded, seen: Mutex::new(seen) }
    }

    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.now() >= self.plan.span
    }

    /// The keys of one writer.
    pub(crate) fn of(keys: &[Key], writer: u32) -> Vec<&Key> {
        keys.iter().filter(|key| key.writer == writer).collect()
    }

    /// Adds what one task recorded.
    pub(crate) fn record(&self, add: impl FnOnce(&mut Seen)) {
        add(&mut self.seen.lock().expect("no task panics while it records"));
    }

    pub(crate) fn into_seen(self) -> Seen {
        self.seen.into_inner().expect("no task panics while it records")
    }
}

fn keys(kind: &str, writers: usize) -> Vec<Key> {
    let mut keys = Vec::new();
    for writer in 0..u32::try_from(writers).expect("few writers") {
        for tenant in TENANTS {
            keys.extend((0..KEYS).map(|number| Key {
                tenant,
                name: format!("{kind}-{writer}-{number}"),
                writer,
                version: Arc::default(),
            }));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_have_keys_of_the_same_names() {
        let keys = keys("written", 2);
        assert_eq!(keys.len(), 2 * TENANTS.len() * KEYS);
        assert_eq!(World::of(&keys, 1).len(), TENANTS.len() * KEYS);
        assert_eq!((keys[0].name.as_str(), keys[KEYS].name.as_str()), ("written-0-0", "written-0-0"));
        assert_ne!(keys[0].tenant, keys[KEYS].tenant);
    }

    #[test]
    fn versions_count_from_one() {
        let key = &keys("loaded", 1)[0];
        assert_eq!(key.current().version, 0);
        assert_eq!((key.advance().version, key.advance().version, key.current().version), (1, 2, 2));
    }
}
