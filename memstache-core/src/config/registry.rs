//! What can be chosen by name.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tower_layer::Layer;

use super::Section;
use crate::{
    accountant::Accountant,
    clock::Clock,
    coherence::{Coherence, InvalidationStream},
    error::Result,
    format::{Format, Json},
    health::{Health, Parts},
    load_gate::LoadGate,
    memory::{AnyPolicy, EvictionPolicy, OwnPolicy, PolicyKind},
    observe::{self, DatabaseCalls, ObserveLayer, Recorder, TierUse},
    service::{CacheService, ErasedService},
    store::{Store, StoreService},
    transform::{Transform, TransformLayer, TransformPart},
};

/// Makes a policy for a shard of so many bytes.
pub(crate) type MakePolicy = dyn Fn(usize) -> AnyPolicy + Send + Sync;
type MakeBackend = dyn Fn(&mut Section<'_>) -> Result<Backend> + Send + Sync;
type MakeLayer = dyn Fn(&mut Section<'_>) -> Result<PlacedLayer> + Send + Sync;
type FindFormat<F> = dyn Fn(&str) -> Result<F> + Send + Sync;

/// The parts that a configuration can choose by name: formats, backends, eviction policies, layers.
///
/// It starts with what this crate has: the format `json`, the backend `memory`, the policies of [`PolicyKind`], the layer
/// `attempt` for `[timeout]`, and for `[observe]` `registry`, with feature `metrics` also `metrics`. Other
/// crates of memstache add theirs, and so do you. A name that is registered again replaces the first. `F` is the type of
/// all formats together: whoever registers formats decides on it.
///
/// ```
/// use memstache_core::{MemoryStore, OwnPolicy, Fifo};
/// use memstache_core::config::{Backend, CacheConfig, Registry};
///
/// let registry = Registry::new()
///     .policy("mine", |_share| Fifo::new())
///     .backend("small", |section| {
///         let bytes = section.bytes("max_bytes", 1 << 20, 1 << 16..=1 << 24);
///         let policy = section.policy("policy", "mine");
///         let store = MemoryStore::builder().max_bytes(bytes).clock(section.clock());
///         Ok(Backend::coherent(store.policy(move |share| policy(share)).build()?))
///     });
/// let config = CacheConfig::new().toml("[backend]\nkind = \"small\"\nmax_bytes = \"2 MiB\"");
/// let cache = config.build(&registry)?.cache("products")?;
/// # let _ = cache;
/// # Ok::<(), memstache_core::Error>(())
/// ```
pub struct Registry<F> {
    pub(super) format_names: Vec<String>,
    pub(super) find_format: Arc<FindFormat<F>>,
    pub(super) backends: BTreeMap<String, Arc<MakeBackend>>,
    pub(super) layers: BTreeMap<(Place, String), Arc<MakeLayer>>,
    pub(super) policies: Policies,
}

/// Where a layer goes; each has a section of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Place {
    /// `[observe]`: outermost.
    Observe,
    /// `[quota]`: what meters tenants.
    Quota,
    /// `[limit]`: below the near cache.
    Limit,
    /// `[compression]`: above what seals.
    Compression,
    /// `[seal]`: above everything that stores or sends.
    Seal,
    /// `[retry]`: below the transforms.
    Retry,
    /// `[timeout]`: for each attempt.
    Timeout,
}

impl Place {
    /// All places, the innermost first: in this order layers are put on.
    pub(super) const INNERMOST_FIRST: [Self; 7] =
        [Self::Timeout, Self::Retry, Self::Seal, Self::Compression, Self::Limit, Self::Quota, Self::Observe];

    /// Returns the name of its section.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Quota => "quota",
            Self::Limit => "limit",
            Self::Compression => "compression",
            Self::Seal => "seal",
            Self::Retry => "retry",
            Self::Timeout => "timeout",
        }
    }
}

impl Default for Registry<Json> {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry<Json> {
    /// Starts with what this crate has.
    pub fn new() -> Self {
        let registry = Self {
            format_names: vec!["json".to_owned()],
            find_format: Arc::new(|_| Ok(Json)),
            backends: BTreeMap::new(),
            layers: BTreeMap::new(),
            policies: Policies::new(),
        };
        let registry =
            registry.backend("memory", super::parts::memory).layer(Place::Timeout, "attempt", super::parts::timeout);
        #[cfg(feature = "metrics")]
        let registry = registry.layer(Place::Observe, "metrics", super::parts::metrics);
        registry.metrics(&observe::Registry::new())
    }
}

impl<F> Registry<F> {
    /// Replaces the formats: by their names, the default one first, and by what makes the one of a name.
    pub fn formats<G: Format>(
        self,
        names: impl IntoIterator<Item: Into<String>>,
        find: impl Fn(&str) -> Result<G> + Send + Sync + 'static,
    ) -> Registry<G> {
        let Self { backends, layers, policies, .. } = self;
        let format_names = names.into_iter().map(Into::into).collect();
        Registry { format_names, find_format: Arc::new(find), backends, layers, policies }
    }

    /// Adds a backend. It is made while the configuration is read, and must not wait for anybody.
    #[must_use]
    pub fn backend(
        mut self,
        name: &str,
        make: impl Fn(&mut Section<'_>) -> Result<Backend> + Send + Sync + 'static,
    ) -> Self {
        self.backends.insert(name.to_owned(), Arc::new(make));
        self
    }

    /// Adds an eviction policy, for memory stores and near caches; made for each shard, given its share of the bytes.
    #[must_use]
    pub fn policy<P: EvictionPolicy>(mut self, name: &str, make: impl Fn(usize) -> P + Send + Sync + 'static) -> Self {
        let make = move |share| AnyPolicy::Own(OwnPolicy::new(make(share)));
        self.policies.0.insert(name.to_owned(), Arc::new(make));
        self
    }

    /// Chooses where `observe.kind = "registry"` counts. Default: a registry of its own, which
    /// [`Configured::metrics`](super::Configured::metrics) returns.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// use memstache_core::{config::{CacheConfig, Registry}, observe};
    ///
    /// let metrics = observe::Registry::new(); // what `GET /metrics` reads
    /// let config = CacheConfig::new().toml("observe = { kind = 'registry', name = 'shop' }");
    /// let cache = config.build(&Registry::new().metrics(&metrics))?.cache("products")?;
    ///
    /// assert_eq!(cache.get::<u8>("tea").await?, None);
    /// let text = metrics.prometheus_text();
    /// assert!(text.contains("memstache_requests_total{memstache_cache=\"shop\",memstache_outcome=\"miss\"} 1\n"));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(self, metrics: &observe::Registry) -> Self {
        let metrics = metrics.clone();
        self.layer(Place::Observe, "registry", move |section| super::parts::registry(section, &metrics))
    }

    /// Has `backend.kind = "memory"` tell somebody who holds how much of it. Default: nobody.
    #[must_use]
    pub fn accountant(self, accountant: impl Accountant + Clone) -> Self {
        self.backend("memory", move |section| super::parts::accounted_memory(section, accountant.clone()))
    }

    /// Adds a layer for a place.
    ///
    /// ```
    /// use memstache_core::config::{CacheConfig, Place, PlacedLayer, Registry};
    /// use tower::limit::ConcurrencyLimitLayer;
    ///
    /// let registry = Registry::new().layer(Place::Limit, "concurrency", |section| {
    ///     let most = section.count("calls", 512, 1..=1 << 20);
    ///     Ok(PlacedLayer::new(ConcurrencyLimitLayer::new(most)))
    /// });
    /// let config = CacheConfig::new().toml("limit.kind = \"concurrency\"\nlimit.calls = 64");
    /// assert!(config.build(&registry).is_ok());
    /// ```
    #[must_use]
    pub fn layer(
        mut self,
        place: Place,
        name: &str,
        make: impl Fn(&mut Section<'_>) -> Result<PlacedLayer> + Send + Sync + 'static,
    ) -> Self {
        self.layers.insert((place, name.to_owned()), Arc::new(make));
        self
    }
}

impl<F> Clone for Registry<F> {
    fn clone(&self) -> Self {
        Self {
            format_names: self.format_names.clone(),
            find_format: Arc::clone(&self.find_format),
            backends: self.backends.clone(),
            layers: self.layers.clone(),
            policies: self.policies.clone(),
        }
    }
}

impl<F> fmt::Debug for Registry<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("formats", &self.format_names)
            .field("backends", &self.backends.keys())
            .field("policies", &self.policies.0.keys())
            .field("layers", &self.layers.keys())
            .finish()
    }
}

/// The eviction policies by name.
#[derive(Clone)]
pub(super) struct Policies(BTreeMap<String, Arc<MakePolicy>>);

impl Policies {
    pub(super) fn new() -> Self {
        let own = PolicyKind::ALL.iter().map(|kind| (kind.as_str().to_owned(), of(*kind)));
        // As `PolicyKind` reads it.
        Self(own.chain([("time-based".to_owned(), of(PolicyKind::Fifo))]).collect())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<MakePolicy>> {
        self.0.get(name).cloned()
    }
}

fn of(kind: PolicyKind) -> Arc<MakePolicy> {
    Arc::new(move |share| kind.policy(share, fastrand::u64(..)))
}

/// The policy of those who choose none.
pub(super) fn default_policy() -> Arc<MakePolicy> {
    of(PolicyKind::TinyLfu)
}

/// Subscribes to what changes in a backend.
type Subscribe = Arc<dyn Fn() -> InvalidationStream + Send + Sync>;

/// A backend that was chosen by name: the leaf of a stack.
#[derive(Clone)]
pub struct Backend {
    pub(super) service: ErasedService,
    pub(super) changes: Option<Changes>,
    pub(super) parts: Parts,
    pub(super) held: Option<Held>,
    pub(super) calls: Option<Arc<DatabaseCalls>>,
}

/// Asks what a tier holds.
pub(super) type Held = Arc<dyn Fn() -> TierUse + Send + Sync>;

impl Backend {
    /// A leaf that does not tell what changes in it: it has no near cache.
    pub fn new(service: impl CacheService) -> Self {
        Self { service: ErasedService::new(service), changes: None, parts: Parts::default(), held: None, calls: None }
    }

    /// A leaf that tells what changes in it, and how it is.
    pub fn coherent(service: impl CacheService + Coherence + Health) -> Self {
        let (changes, part) = (service.clone(), service.clone());
        let changes = Some(Changes(Arc::new(move || changes.subscribe())));
        Self { changes, ..Self::new(service) }.watch(part)
    }

    /// A store that does not tell what changes in it.
    pub fn store(store: impl Store) -> Self {
        let service = StoreService::new(store);
        Self::new(service.clone()).watch(service)
    }

    /// A store that tells what changes in it.
    pub fn coherent_store(store: impl Store + Coherence) -> Self {
        Self::coherent(StoreService::new(store))
    }

    /// Has `observe.kind = "registry"` ask what the store holds, each time that somebody reads its counts.
    #[must_use]
    pub fn holding(mut self, ask: impl Fn() -> TierUse + Send + Sync + 'static) -> Self {
        self.held = Some(Arc::new(ask));
        self
    }

    /// Has `observe.kind = "registry"` tell how long the store's commands to its database took.
    #[must_use]
    pub fn calling(mut self, calls: Arc<DatabaseCalls>) -> Self {
        self.calls = Some(calls);
        self
    }

    /// Has a part of the backend be asked how it is.
    #[must_use]
    pub fn watch(mut self, part: impl Health) -> Self {
        self.parts.push(part);
        self
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("is_coherent", &self.changes.is_some()).finish_non_exhaustive()
    }
}

/// The changes of a backend whose type is forgotten.
#[derive(Clone)]
pub(super) struct Changes(Subscribe);

impl Coherence for Changes {
    fn subscribe(&self) -> InvalidationStream {
        (self.0)()
    }
}

/// A layer that was chosen by name.
pub struct PlacedLayer {
    pub(super) wrap: Box<dyn FnOnce(ErasedService) -> ErasedService>,
    pub(super) parts: Parts,
    pub(super) recorder: Option<Arc<dyn Recorder>>,
    /// Where tiers tell what they hold, and under which name.
    pub(super) metrics: Option<(observe::Registry, String)>,
    pub(super) gate: Option<Arc<dyn LoadGate>>,
}

impl PlacedLayer {
    /// Takes any layer over a stack.
    pub fn new<L: Layer<ErasedService, Service: CacheService> + 'static>(layer: L) -> Self {
        let wrap = Box::new(move |inner| ErasedService::new(layer.layer(inner)));
        Self { wrap, parts: Parts::default(), recorder: None, metrics: None, gate: None }
    }

    /// Takes a recorder, for [`Place::Observe`]: an [`ObserveLayer`] tells it the calls, and all handles tell it their
    /// outcomes, loads and fills.
    pub fn recorder(recorder: impl Recorder, clock: impl Clock) -> Self {
        let recorder: Arc<dyn Recorder> = Arc::new(recorder);
        let layer = ObserveLayer::new(Arc::clone(&recorder)).with_clock(clock);
        Self { recorder: Some(recorder), ..Self::new(layer) }
    }

    /// Takes a transform.
    pub fn transform(transform: impl Transform) -> Self {
        let part = transform.health().is_some().then(|| TransformPart(transform.clone()));
        let placed = Self::new(TransformLayer::new(transform));
        match part {
            Some(part) => placed.watch(part),
            None => placed,
        }
    }

    /// Puts a gate between the loads of all handles and their data sources.
    #[must_use]
    pub fn gate_loads(mut self, gate: impl LoadGate) -> Self {
        self.gate = Some(Arc::new(gate));
        self
    }

    /// Has a part of the layer be asked how it is.
    #[must_use]
    pub fn watch(mut self, part: impl Health) -> Self {
        self.parts.push(part);
        self
    }
}

impl fmt::Debug for PlacedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlacedLayer").finish_non_exhaustive()
    }
}
