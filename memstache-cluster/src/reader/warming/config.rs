//! What is loaded ahead, when, and how fast.

use std::time::Duration;

use memstache_core::Error;

use crate::{owner::MOST_HOT_KEYS, problems::Problems};

/// What is loaded ahead, when, and how fast: the keyspaces' [`warm_keys`](crate::KeySpaceBuilder::warm_keys) and their
/// [hot keys](crate::Engine::hot_keys), each by the node that owns it.
///
/// When members change, the new owner asks the previous one for what it holds, and the source only for what that does not have.
/// Nothing is loaded twice: what is loaded ahead takes part in the one load for each key, and in what protects the source.
///
/// ```
/// use std::time::Duration;
/// use memstache_cluster::{Engine, WarmUp};
///
/// let warm_up = WarmUp::new().with_max_hot_keys(500).with_concurrency(16).with_refresh_interval(Duration::from_secs(30));
/// let engine = Engine::builder().warm_up(warm_up).build()?;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct WarmUp {
    pub(crate) max_hot_keys: usize,
    pub(crate) min_hits: u64,
    pub(crate) concurrency: usize,
    pub(crate) timeout: Duration,
    pub(crate) on_join: bool,
    pub(crate) on_leave: bool,
    pub(crate) refresh_interval: Option<Duration>,
    pub(crate) loads_per_partition: usize,
    pub(crate) max_handover_bytes: usize,
}

impl WarmUp {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            max_hot_keys: 100,
            min_hits: 1,
            concurrency: 4,
            timeout: Duration::from_secs(2),
            on_join: true,
            on_leave: true,
            refresh_interval: None,
            loads_per_partition: 4,
            max_handover_bytes: 256 << 20,
        }
    }

    /// Sets how many hot keys of each keyspace a node loads ahead or hands over first: at most 1,024. Default: 100.
    #[must_use]
    pub const fn with_max_hot_keys(mut self, keys: usize) -> Self {
        self.max_hot_keys = keys;
        self
    }

    /// Sets how often a key must have been read of late to be hot: at least 1. Default: 1.
    #[must_use]
    pub const fn with_min_hits(mut self, hits: u64) -> Self {
        self.min_hits = hits;
        self
    }

    /// Sets how many keys a node loads ahead at a time: 1 to 1,024. Default: 4.
    #[must_use]
    pub const fn with_concurrency(mut self, keys: usize) -> Self {
        self.concurrency = keys;
        self
    }

    /// Bounds how long each key may take; the keyspace's read timeout does, too. Default: 2 s.
    #[must_use]
    pub const fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Says whether keys are loaded ahead when this node starts, and when others join. Default: yes.
    #[must_use]
    pub const fn with_on_join(mut self, on: bool) -> Self {
        self.on_join = on;
        self
    }

    /// Says whether keys are loaded ahead when others leave or are lost. Default: yes.
    #[must_use]
    pub const fn with_on_leave(mut self, on: bool) -> Self {
        self.on_leave = on;
        self
    }

    /// Has the source be asked again for warm and hot keys, this often, within a fifth. Values that live until they are evicted
    /// are left as they are. Default: never.
    #[must_use]
    pub const fn with_refresh_interval(mut self, interval: Duration) -> Self {
        self.refresh_interval = Some(interval);
        self
    }

    /// Bounds the loads of one partition that run at a time while members change (ten seconds), whoever asks: 1 to 65,536. The
    /// others wait for their turn, within the time of a load. Default: 4.
    #[must_use]
    pub const fn with_loads_per_partition(mut self, loads: usize) -> Self {
        self.loads_per_partition = loads;
        self
    }

    /// Bounds the bytes of values that a node hands over when it stops; the hottest first. It has half of the shutdown timeout for
    /// them. Default: 256 MiB.
    #[must_use]
    pub const fn with_max_handover_bytes(mut self, bytes: usize) -> Self {
        self.max_handover_bytes = bytes;
        self
    }

    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.within("warm_up max_hot_keys", self.max_hot_keys, 0, MOST_HOT_KEYS);
        let least = || Error::invalid("warm_up min_hits", "at least 1", self.min_hits);
        problems.require(self.min_hits > 0, least);
        problems.within("warm_up concurrency", self.concurrency, 1, 1024);
        problems.positive("warm_up timeout", self.timeout);
        problems.positive("warm_up refresh_interval", self.refresh_interval);
        problems.within("warm_up loads_per_partition", self.loads_per_partition, 1, 65_536);
    }
}

impl Default for WarmUp {
    fn default() -> Self {
        Self::new()
    }
}
