//! Building a keyspace: every setting is checked, all at once.

use std::{fmt, mem, sync::Arc, time::Duration};

use memstache_core::{
    AnyPolicy, ErasedService, Error, FormatId, KeyspaceName, MAX_NAME, MemoryStore, PolicyKind, Result,
    resilience::{BreakerConfig, Probing},
};

use super::{DataSource, Expiry, Key, KeySpace, RateLimit, Settings};
use crate::problems::Problems;

/// Least bytes that a keyspace may hold: a shard of the memory store.
const LEAST_BYTES: usize = 64 * 1024;
/// Most keys that are warmed by name.
const MOST_WARM_KEYS: usize = 65_536;
/// Most nodes that hold a key.
const MOST_REPLICAS: usize = 8;
/// Most loads at a time, as the typed handle has it.
const MOST_LOADS: usize = 1 << 20;

/// Builds a [`KeySpace`].
///
/// Nothing is checked before [`build`](Self::build); its error names every wrong setting. Times are above zero unless said
/// otherwise, and at most 3,650 days.
#[must_use = "nothing is built before `build`"]
pub struct KeySpaceBuilder {
    name: String,
    settings: Settings,
}

impl KeySpace {
    /// Starts a keyspace of this name: 1 to 64 bytes of `[A-Za-z0-9._-]`.
    pub fn builder(name: impl Into<String>) -> KeySpaceBuilder {
        let settings = Settings::usual(KeyspaceName::new("unnamed").expect("a good name"));
        KeySpaceBuilder { name: name.into(), settings }
    }
}

impl KeySpaceBuilder {
    /// Bounds the bytes that each node holds of it: at least 64 KiB. One entry may take an eighth of it. Default: 64 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// Chooses which entry goes when it is full. Default: [`PolicyKind::TinyLfu`].
    pub fn policy(mut self, policy: PolicyKind) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets where its values come from. Default: callers put them in.
    pub fn source(mut self, source: impl DataSource) -> Self {
        self.settings.source = Some(Arc::new(source));
        self
    }

    /// Says when the value of a key expires that its source brought without an end of its own. Default: by
    /// [`default_ttl`](Self::default_ttl). Needs a source.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use memstache_cluster::{Expiry, KeySpace, source_fn};
    /// let sessions = KeySpace::builder("sessions")
    ///     .source(source_fn(|_| async { Ok(None) }))
    ///     .expiry(|key| key.name().starts_with(b"guest").then_some(Expiry::After(Duration::from_secs(60))))
    ///     .build()?;
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn expiry(mut self, of: impl Fn(&Key) -> Option<Expiry> + Send + Sync + 'static) -> Self {
        self.settings.expiry = Some(Arc::new(of));
        self
    }

    /// Sets how long values live that say nothing themselves, put or loaded. Default: until they are evicted.
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.settings.default_ttl = Some(ttl);
        self
    }

    /// Remembers for so long that the source has no such key. Default: not at all. Needs a source.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.settings.negative_ttl = Some(ttl);
        self
    }

    /// Bounds each read, its load included. Default: the engine's, 5 s.
    pub fn read_timeout(mut self, limit: Duration) -> Self {
        self.settings.read_timeout = Some(limit);
        self
    }

    /// Bounds each write. Default: the engine's, 5 s.
    pub fn write_timeout(mut self, limit: Duration) -> Self {
        self.settings.write_timeout = Some(limit);
        self
    }

    /// Bounds each load, however many wait for it. Default: 30 s.
    pub fn load_timeout(mut self, limit: Duration) -> Self {
        self.settings.load_timeout = limit;
        self
    }

    /// Serves values for so long after they expired, while one load refreshes them or the source fails. Zero: never. Default:
    /// never.
    pub fn stale_for(mut self, grace: Duration) -> Self {
        self.settings.stale_for = grace;
        self
    }

    /// Refreshes values in the background once this fraction of their life has passed: above 0, at most 1. Default: never.
    /// Needs a source.
    pub fn refresh_ahead(mut self, fraction: f64) -> Self {
        self.settings.refresh_ahead = Some(fraction);
        self
    }

    /// Refreshes values early by chance (XFetch), weighing what they cost to load by `beta`: above 0, at most 100; 2 is a good
    /// value. Default: never. Needs a source.
    pub fn early_refresh(mut self, beta: f64) -> Self {
        self.settings.early_refresh = Some(beta);
        self
    }

    /// Bounds the loads that a node runs at one time: 1 to 1,048,576; one more is
    /// [`Overloaded`](memstache_core::ErrorKind::Overloaded). Default: 1,024.
    pub fn max_loads(mut self, loads: usize) -> Self {
        self.settings.max_loads = loads;
        self
    }

    /// Says which format the source's bytes are of, for typed caches above: they take values of their own format only.
    /// Default: [`FormatId::RAW`].
    pub fn format(mut self, format: FormatId) -> Self {
        self.settings.format = format;
        self
    }

    /// Puts layers between the loads and the store, such as compression and sealing: they run on the owner, and what they
    /// produce is what is held, copied and handed over. Needs a source: without one, transforms belong above
    /// [`Engine::service`](crate::Engine::service). Default: none.
    ///
    /// ```
    /// # use memstache_cluster::{KeySpace, source_fn};
    /// use memstache_core::Stack;
    ///
    /// let pages = KeySpace::builder("pages")
    ///     .source(source_fn(|_| async { Ok(None) }))
    ///     .layers(|store| Stack::over(store).build()) // `.compress(..)`, `.seal(..)`
    ///     .build()?;
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn layers(mut self, build: impl Fn(MemoryStore<AnyPolicy>) -> ErasedService + Send + Sync + 'static) -> Self {
        self.settings.layers = Some(Arc::new(build));
        self
    }

    /// Limits how often the source is asked. Default: the engine's, which has none. Needs a source.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.settings.rate_limit = Some(limit);
        self
    }

    /// Sets when the source is left alone because it fails. Default: the engine's. Needs a source.
    pub fn breaker(mut self, breaker: BreakerConfig) -> Self {
        self.settings.breaker = Some(breaker);
        self
    }

    /// Names keys that are loaded ahead when the node starts and when others join or leave: at most 65,536. Needs a source.
    pub fn warm_keys<I: IntoIterator<Item: AsRef<[u8]>>>(mut self, keys: I) -> Self {
        // One more than allowed is enough to tell.
        let keys = keys.into_iter().take(MOST_WARM_KEYS + 1);
        self.settings.warm_keys = keys.map(|key| key.as_ref().to_vec()).collect();
        self
    }

    /// Sets how many nodes hold each key: its owner, and those who would own it next; 1 to 8. Default: 1, no copies.
    ///
    /// A put or a delete is acknowledged when all of them have it, or are declared dead. When the owner does not answer, a copy
    /// does, before the source; when it is lost, the next owner goes on from its copies. Copies take memory beside
    /// [`max_bytes`](Self::max_bytes): each node bounds those it keeps for others by as much again for each copy. A node alone
    /// keeps none. All nodes must say the same.
    pub fn replicas(mut self, nodes: usize) -> Self {
        self.settings.replicas = nodes;
        self
    }

    /// Builds the keyspace; the error names everything that is wrong.
    pub fn build(mut self) -> Result<KeySpace> {
        let mut problems = Problems::default();
        if let Some(name) = problems.note(KeyspaceName::new(mem::take(&mut self.name))) {
            self.settings.name = name;
        }
        self.settings.check(&mut problems);
        problems.finish()?;
        Ok(KeySpace(Arc::new(self.settings)))
    }
}

impl Settings {
    /// The settings of a keyspace of which nothing is said.
    pub(super) fn usual(name: KeyspaceName) -> Self {
        Self {
            name,
            max_bytes: 64 << 20,
            policy: PolicyKind::TinyLfu,
            source: None,
            expiry: None,
            default_ttl: None,
            negative_ttl: None,
            read_timeout: None,
            write_timeout: None,
            load_timeout: Duration::from_secs(30),
            stale_for: Duration::ZERO,
            refresh_ahead: None,
            early_refresh: None,
            max_loads: 1024,
            format: FormatId::RAW,
            layers: None,
            rate_limit: None,
            breaker: None,
            warm_keys: Vec::new(),
            replicas: 1,
        }
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        problems.within("max_bytes", self.max_bytes, LEAST_BYTES, isize::MAX as usize);
        problems.positive("default_ttl", self.default_ttl);
        problems.positive("negative_ttl", self.negative_ttl);
        problems.positive("read_timeout", self.read_timeout);
        problems.positive("write_timeout", self.write_timeout);
        problems.positive("load_timeout", self.load_timeout);
        problems.bounded("stale_for", self.stale_for);
        problems.within("max_loads", self.max_loads, 1, MOST_LOADS);
        problems.within("replicas", self.replicas, 1, MOST_REPLICAS);
        if let Some(part) = self.refresh_ahead {
            let wrong = || Error::invalid("refresh_ahead", "above 0 and at most 1", part);
            problems.require(part > 0.0 && part <= 1.0, wrong);
        }
        if let Some(beta) = self.early_refresh {
            let wrong = || Error::invalid("early_refresh", "above 0 and at most 100", beta);
            problems.require(beta > 0.0 && beta <= 100.0, wrong);
        }
        if let Some(limit) = self.rate_limit {
            problems.note(limit.check());
        }
        if let Some(breaker) = self.breaker {
            problems.note(check_breaker(breaker));
        }
        problems.within("the number of warm_keys", self.warm_keys.len(), 0, MOST_WARM_KEYS);
        if let Some(key) = self.warm_keys.iter().find(|key| key.is_empty() || key.len() > MAX_NAME) {
            problems.note::<()>(Err(Error::invalid(
                "a warm key",
                format_args!("1 to {MAX_NAME} bytes long"),
                format_args!("{} bytes", key.len()),
            )));
        }
        self.check_source(problems);
    }

    /// What is about a source is wrong where there is none.
    fn check_source(&self, problems: &mut Problems) {
        let set = [
            ("expiry", self.expiry.is_some()),
            ("negative_ttl", self.negative_ttl.is_some()),
            ("refresh_ahead", self.refresh_ahead.is_some()),
            ("early_refresh", self.early_refresh.is_some()),
            ("layers", self.layers.is_some()),
            ("rate_limit", self.rate_limit.is_some()),
            ("breaker", self.breaker.is_some()),
            ("warm_keys", !self.warm_keys.is_empty()),
        ];
        for (field, _) in set.into_iter().filter(|(_, set)| *set && self.source.is_none()) {
            problems.note::<()>(Err(Error::invalid(field, "set for a keyspace with a source only", "a value")));
        }
    }
}

/// Checks a breaker of a data source.
pub(crate) fn check_breaker(breaker: BreakerConfig) -> Result<()> {
    breaker.check()?;
    if breaker == breaker.with_probing(Probing::Requests) {
        return Ok(());
    }
    Err(Error::invalid("breaker", "probed by requests", "one that is probed apart"))
}

impl fmt::Debug for KeySpaceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySpaceBuilder").field("max_bytes", &self.settings.max_bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_fn;

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let error = KeySpace::builder("a b")
            .max_bytes(1)
            .default_ttl(Duration::ZERO)
            .load_timeout(Duration::MAX)
            .refresh_ahead(1.5)
            .early_refresh(f64::NAN)
            .max_loads(0)
            .replicas(9)
            .rate_limit(RateLimit::per_second(0))
            .breaker(BreakerConfig::leaf())
            .warm_keys([""])
            .source(source_fn(|_| async { Ok(None) }))
            .build()
            .unwrap_err()
            .to_string();
        for part in [
            "keyspace must be made of",
            "max_bytes must be 65536 to",
            "default_ttl must be above zero, but zero",
            "load_timeout must be at most 3650 days",
            "refresh_ahead must be above 0 and at most 1, but 1.5",
            "early_refresh must be above 0 and at most 100, but NaN",
            "max_loads must be 1 to 1048576, but 0",
            "replicas must be 1 to 8, but 9",
            "rate per_second must be",
            "breaker must be probed by requests",
            "a warm key must be 1 to 1024 bytes long, but 0 bytes",
        ] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }

    #[test]
    fn what_needs_a_source_is_refused_without_one() {
        let error = KeySpace::builder("k")
            .negative_ttl(Duration::from_secs(1))
            .warm_keys(["a"])
            .build()
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "negative_ttl must be set for a keyspace with a source only, but a value was given; \
             warm_keys must be set for a keyspace with a source only, but a value was given"
        );
        assert!(KeySpace::builder("k").build().is_ok());
    }

    #[test]
    fn entries_are_kept_where_the_settings_allow_it() {
        let source = || source_fn(|_: Key| async { Ok(None) });
        let with = |change: fn(KeySpaceBuilder) -> KeySpaceBuilder| {
            change(KeySpace::builder("k").source(source())).build().unwrap()
        };
        let old = with(|builder| builder);
        assert!(with(|builder| builder.default_ttl(Duration::from_secs(1))).keeps_entries_of(&old));
        assert!(!with(|builder| builder.max_bytes(1 << 20)).keeps_entries_of(&old));
        assert!(!with(|builder| builder.policy(PolicyKind::Lru)).keeps_entries_of(&old));
        assert!(!with(|builder| builder.format(FormatId::JSON)).keeps_entries_of(&old));
        assert!(!KeySpace::builder("k").build().unwrap().keeps_entries_of(&old));
    }
}
