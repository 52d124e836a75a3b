//! Building an engine: every setting is checked, all at once.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use memstache_core::{
    Clock, Error, KeyspaceName, Result, SystemClock,
    observe::{Propagator, Recorder},
    resilience::BreakerConfig,
};

use super::{
    ClusterConfig, Engine,
    node::{Node, Times},
    registry::Registry,
};
use crate::{
    keyspace::{HotCopies, KeySpace, RateLimit, check_breaker},
    member::Incarnation,
    owner::Surroundings,
    problems::Problems,
    reader::{Cluster, Timing, WarmUp},
};

/// Builds an [`Engine`].
///
/// Nothing is checked before [`build`](Self::build); its error names every wrong setting. Times are above zero and at most
/// 3,650 days.
#[must_use = "nothing is built before `build`"]
pub struct EngineBuilder {
    pub(super) keyspaces: Vec<KeySpace>,
    times: Times,
    around: Surroundings,
    cluster: Option<ClusterConfig>,
    warm_up: Option<WarmUp>,
    timing: Timing,
    propagator: Option<Arc<dyn Propagator>>,
}

impl EngineBuilder {
    pub(super) fn new() -> Self {
        let secs = Duration::from_secs;
        Self {
            keyspaces: Vec::new(),
            times: Times { read: secs(5), write: secs(5), shutdown: secs(30) },
            around: Surroundings {
                clock: Arc::new(SystemClock::new()),
                rate_limit: None,
                breaker: Some(BreakerConfig::source()),
                event_capacity: 1024,
                loads_per_partition: WarmUp::new().loads_per_partition,
                hot_copies: Some(HotCopies::default()),
                recorder: None,
                events: Arc::default(),
            },
            cluster: None,
            warm_up: Some(WarmUp::new()),
            timing: Timing::default(),
            propagator: None,
        }
    }

    /// Adds a keyspace; no two have the same name. More can be [created](Engine::create_keyspace) later.
    pub fn keyspace(mut self, keyspace: KeySpace) -> Self {
        self.keyspaces.push(keyspace);
        self
    }

    /// Lets the engine take part in a cluster. Default: it stands alone.
    pub fn cluster(mut self, cluster: ClusterConfig) -> Self {
        self.cluster = Some(cluster);
        self
    }

    /// Bounds each read, its load included, of keyspaces that say nothing. Default: 5 s.
    pub fn read_timeout(mut self, limit: Duration) -> Self {
        self.times.read = limit;
        self
    }

    /// Bounds each write, of keyspaces that say nothing. Default: 5 s.
    pub fn write_timeout(mut self, limit: Duration) -> Self {
        self.times.write = limit;
        self
    }

    /// Bounds [`Engine::stop`]: how long it waits for calls under way. Default: 30 s.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.times.shutdown = limit;
        self
    }

    /// Limits how often the source of each keyspace that says nothing is asked. Default: not at all.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.around.rate_limit = Some(limit);
        self
    }

    /// Sets when the source of each keyspace that says nothing is left alone because it fails; each has a breaker of its own.
    /// Default: [`BreakerConfig::source`].
    pub fn breaker(mut self, breaker: BreakerConfig) -> Self {
        self.around.breaker = Some(breaker);
        self
    }

    /// Has no breaker for keyspaces that say nothing.
    pub fn without_breaker(mut self) -> Self {
        self.around.breaker = None;
        self
    }

    /// Sets how many changes a subscriber of a keyspace may be behind before it gets a gap: 1 to 1,048,576. Default: 1,024.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.around.event_capacity = events;
        self
    }

    /// Sets what is loaded ahead when members come and go, and when this node starts. Default: [`WarmUp::new`].
    pub fn warm_up(mut self, warm_up: WarmUp) -> Self {
        self.warm_up = Some(warm_up);
        self
    }

    /// Loads nothing ahead, unless it is [asked for](Engine::warm_up).
    pub fn without_warm_up(mut self) -> Self {
        self.warm_up = None;
        self
    }

    /// Says when a key of a keyspace that says nothing is hot, and what other nodes may then keep of it. Default:
    /// [`HotCopies::default`].
    pub fn hot_copies(mut self, copies: HotCopies) -> Self {
        self.around.hot_copies = Some(copies);
        self
    }

    /// Has other nodes keep nothing of keyspaces that say nothing, however hot it is.
    pub fn without_hot_copies(mut self) -> Self {
        self.around.hot_copies = None;
        self
    }

    /// Sets where time comes from. Default: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.around.clock = Arc::new(clock);
        self
    }

    /// Says who is told what this node's callers do with each keyspace, and what it loads, by the keyspace's name: calls with
    /// their durations and errors; and, of keyspaces with a source, each key that this node is asked for as its owner, and each
    /// load. Default: nobody, which costs nothing.
    ///
    /// ```
    /// use memstache_cluster::{Engine, KeySpace};
    /// use memstache_core::observe::Registry;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
    /// let registry = Registry::new();
    /// let metrics = registry.clone();
    /// let engine = Engine::builder()
    ///     .keyspace(KeySpace::builder("users").build()?)
    ///     .recorder(move |keyspace| metrics.recorder(keyspace.as_str()).expect("a name that metrics can have"))
    ///     .build()?;
    /// engine.start().await?;
    /// engine.put("users", "7", "Ada").await?;
    /// assert!(registry.prometheus_text().contains("memstache_operation_duration_seconds_count"));
    /// # Ok(()) }
    /// ```
    pub fn recorder<R: Recorder>(mut self, of: impl Fn(&KeyspaceName) -> R + Send + Sync + 'static) -> Self {
        self.around.recorder = Some(Arc::new(move |name| Arc::new(of(name))));
        self
    }

    /// Says which span calls to other nodes belong to, so that a trace goes on there. Default: nobody, and traces end here.
    ///
    /// The layer of the core's telemetry is one (`Telemetry::layer`, feature `otlp` of the core), and takes up the traces that
    /// come from other nodes by itself.
    pub fn propagator(mut self, propagator: impl Propagator) -> Self {
        self.propagator = Some(Arc::new(propagator));
        self
    }

    /// Plants a bug, which a test is to notice.
    #[cfg(any(test, feature = "test-util"))]
    #[doc(hidden)]
    pub fn faults(mut self, faults: crate::Faults) -> Self {
        self.timing.faults = faults;
        self
    }

    /// Builds the engine, which is to be [started](Engine::start). The error names everything that is wrong.
    pub fn build(self) -> Result<Engine> {
        let clock = &self.around.clock;
        let me = |config: &ClusterConfig| {
            Cluster::new(config.me.id, Arc::clone(clock), self.timing).with_propagator(self.propagator.clone())
        };
        let cluster = self.cluster.as_ref().map(me).map(Arc::new);
        self.build_with(cluster)
    }

    /// Builds the engine of a node that asks others.
    pub(crate) fn build_with(self, cluster: Option<Arc<Cluster>>) -> Result<Engine> {
        self.check()?;
        let clock = Arc::clone(&self.around.clock);
        let (me, life) = match (&self.cluster, &cluster) {
            (Some(config), _) => config.life(),
            (None, Some(cluster)) => (cluster.me, Incarnation::default()),
            (None, None) => Default::default(),
        };
        let loads_per_partition = self.warm_up.unwrap_or_default().loads_per_partition;
        let registry = Registry::new(Surroundings { loads_per_partition, ..self.around }, me, life);
        for keyspace in self.keyspaces {
            registry.create(keyspace)?;
        }
        Ok(Engine::of(Arc::new(Node::new(registry, clock, self.times, self.warm_up, cluster, self.cluster))))
    }

    fn check(&self) -> Result<()> {
        let mut problems = Problems::default();
        let mut names = BTreeSet::new();
        for keyspace in &self.keyspaces {
            let wrong = || {
                Error::invalid("keyspaces", "of different names", format_args!("{:?} twice", keyspace.name().as_str()))
            };
            problems.require(names.insert(keyspace.name()), wrong);
        }
        problems.positive("read_timeout", self.times.read);
        problems.positive("write_timeout", self.times.write);
        problems.positive("shutdown_timeout", self.times.shutdown);
        problems.within("event_capacity", self.around.event_capacity, 1, 1 << 20);
        if let Some(limit) = self.around.rate_limit {
            problems.note(limit.check());
        }
        if let Some(breaker) = self.around.breaker {
            problems.note(check_breaker(breaker));
        }
        if let Some(warm_up) = &self.warm_up {
            warm_up.check(&mut problems);
        }
        if let Some(copies) = self.around.hot_copies {
            problems.note(copies.check());
        }
        if let Some(cluster) = &self.cluster {
            cluster.check(&mut problems);
        }
        problems.finish()
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("keyspaces", &self.keyspaces.len())
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}
