//! One keyspace on one node: its store, and how it is loaded.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use memstache_core::{
    Address, AnyPolicy, Cache, Clock, Coalesce, ErasedService, KeyspaceName, MemoryStore, PartHealth, Request,
    Response, Result, Space, TenantId, Tenanted,
    observe::Recorder,
    resilience::{BreakerConfig, CircuitBreaker},
};
use parking_lot::Mutex;
use tower_service::Service as _;

use super::{changes::Changes, guard::Guard, herd::Herd, hot::Hot, octets::Plain, refusals::Refusals, replicas};
use crate::{
    engine::{EngineEvent, EventBus, OfLoads},
    keyspace::{HotCopies, Key, KeySpace, RateLimit},
    reader::Copies,
    stats::{Counters, KeySpaceStats},
};

/// Numbers the stores of a process.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// What every keyspace of a node is given.
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) breaker: Option<BreakerConfig>,
    pub(crate) event_capacity: usize,
    /// Loads of one partition that run at a time while members change.
    pub(crate) loads_per_partition: usize,
    pub(crate) hot_copies: Option<HotCopies>,
    pub(crate) recorder: Option<Arc<dyn Fn(&KeyspaceName) -> Arc<dyn Recorder> + Send + Sync>>,
    pub(crate) events: Arc<EventBus>,
}

/// One keyspace on one node.
///
/// Its memory store is the authority for the keys that the node owns.
pub(crate) struct Local {
    pub(crate) spec: KeySpace,
    pub(crate) store: MemoryStore<AnyPolicy>,
    pub(crate) counters: Arc<Counters>,
    /// What is hot of what this node owns.
    pub(crate) hot: Arc<Hot>,
    /// When a key is hot, if others may keep copies then.
    pub(crate) hot_copies: Option<HotCopies>,
    /// Copies of what others own.
    pub(crate) copies: Copies,
    /// What changes here, for the near caches of others.
    pub(crate) changes: Changes,
    pub(crate) clock: Arc<dyn Clock>,
    /// The same for keyspaces that share their store, one after the other.
    pub(crate) generation: u64,
    /// Who is told of calls and loads.
    pub(crate) recorder: Option<Arc<dyn Recorder>>,
    pub(super) loads: Option<Loads>,
    /// What this node keeps for other owners, if the keyspace has replicas.
    pub(crate) replica: Option<Arc<replicas::Copies>>,
    /// Bounds loads while members change.
    pub(crate) herd: Arc<Herd>,
    /// Whether the limiter of the source refuses loads.
    refusals: Arc<Refusals>,
    /// What was loaded here and not pushed to replicas yet.
    loaded: Mutex<Vec<Address>>,
}

/// Most keys that wait to be pushed after they were loaded.
const MOST_LOADED: usize = 4096;

/// How a keyspace with a source is loaded.
pub(super) struct Loads {
    /// The store with the keyspace's layers over it.
    pub(super) service: ErasedService,
    pub(super) cache: Cache<Plain, Tenanted>,
    pub(super) guard: Arc<Guard>,
    pub(super) breaker: Option<CircuitBreaker>,
    /// Loads of keys that others own.
    pub(super) apart: Coalesce<Key, Result<Option<Bytes>>>,
}

impl Local {
    /// Makes a keyspace; of the one before it, what is held is kept if the settings allow it, and what was counted.
    pub(crate) fn new(spec: KeySpace, around: &Surroundings, old: Option<&Self>) -> Result<Self> {
        let kept = old.filter(|old| spec.keeps_entries_of(&old.spec));
        let new = |copies: usize| {
            MemoryStore::builder()
                .max_bytes(spec.max_bytes().saturating_mul(copies))
                .policy_kind(spec.0.policy)
                .event_capacity(around.event_capacity)
                .clock(Arc::clone(&around.clock))
                .build()
        };
        let store = kept.map_or_else(|| new(1), |old| Ok(old.store.clone()))?;
        let replica = match kept.filter(|old| old.replicas() == spec.replicas()) {
            Some(old) => old.replica.clone(),
            None if spec.replicas() > 1 => Some(Arc::new(replicas::Copies::new(new(spec.replicas() - 1)?))),
            None => None,
        };
        if let Some(old) = old {
            // What it wrote is to be hidden by no invalidation from before.
            store.raise_sequence(old.store.sequence());
        }
        let counters = old.map_or_else(Arc::default, |old| Arc::clone(&old.counters));
        let hot = || Arc::new(Hot::new(Arc::clone(&around.clock)));
        let hot = old.map_or_else(hot, |old| Arc::clone(&old.hot));
        let hot_copies = spec.0.hot_copies.unwrap_or(around.hot_copies);
        let copies = Copies::new(hot_copies.map_or(0, |copies| copies.max_bytes(spec.max_bytes())));
        let generation = kept.map_or_else(|| GENERATIONS.fetch_add(1, Relaxed), |old| old.generation);
        let new_herd = || Arc::new(Herd::new(around.loads_per_partition, Arc::clone(&around.clock)));
        let herd = old.map_or_else(new_herd, |old| Arc::clone(&old.herd));
        let recorder = match old {
            Some(old) => old.recorder.clone(),
            None => around.recorder.as_ref().map(|of| of(spec.name())),
        };
        let new_refusals =
            || Arc::new(Refusals::new(spec.name().clone(), Arc::clone(&around.events), Arc::clone(&around.clock)));
        let refusals = old.map_or_else(new_refusals, |old| Arc::clone(&old.refusals));
        let loads = Loads::new(&spec, &store, (&counters, &herd, &refusals), around, recorder.clone())?;
        let (changes, clock) = (Changes::new(around.event_capacity), Arc::clone(&around.clock));
        let loaded = Mutex::default();
        Ok(Self {
            spec,
            store,
            counters,
            hot,
            hot_copies,
            copies,
            changes,
            clock,
            generation,
            recorder,
            loads,
            replica,
            herd,
            refusals,
            loaded,
        })
    }

    pub(crate) fn has_source(&self) -> bool {
        self.loads.is_some()
    }

    /// Returns whether a request is answered from the source when its owner does not.
    pub(crate) fn falls_back(&self, request: &Request) -> bool {
        self.has_source() && matches!(request, Request::Get(_))
    }

    /// How many nodes hold each key.
    pub(crate) fn replicas(&self) -> usize {
        self.spec.replicas()
    }

    /// Takes note of keys that were loaded here: replicas are to have them.
    pub(super) fn note_loaded<'a>(&self, keys: impl Iterator<Item = &'a Address>) {
        if self.replica.is_some() {
            let mut loaded = self.loaded.lock();
            let room = MOST_LOADED.saturating_sub(loaded.len());
            loaded.extend(keys.take(room).cloned());
        }
    }

    /// Takes the keys that were loaded here since the last time.
    pub(super) fn loaded_since(&self) -> Vec<Address> {
        if self.replica.is_some() { std::mem::take(&mut *self.loaded.lock()) } else { Vec::new() }
    }

    /// Divides what protects the source by so many live members.
    pub(crate) fn shared_by(&self, members: u32) {
        if let Some(loads) = &self.loads {
            loads.guard.shared_by(members);
        }
    }

    /// Runs a request on the keyspace's stack. Reads of a keyspace with a source are read through it.
    pub(crate) async fn run(&self, request: Request) -> Result<Response> {
        match (&self.loads, request) {
            (None, request) => self.store.clone().call(request).await,
            (Some(_), Request::Get(op)) => Ok(Response::Found(self.read_through(op).await)),
            (Some(loads), request) => loads.service.dispatch(request).await,
        }
    }

    /// Takes note of what is read, to know which keys are hot.
    #[inline]
    pub(crate) fn note_reads(&self, request: &Request) {
        if matches!(request, Request::Get(_)) {
            self.hot.reads.count(request.addresses());
        }
    }

    /// Returns what was counted and what is held.
    pub(crate) fn stats(&self) -> KeySpaceStats {
        let (held, counted) = (self.store.stats(), self.counters.snapshot());
        let (hot_entries, hot_bytes) = self.copies.held(self.clock.now());
        let copies = self.replica.as_ref().map(|copies| copies.store.stats()).unwrap_or_default();
        let stats = KeySpaceStats {
            main_bytes: held.bytes as u64,
            main_entries: held.entries as u64,
            hot_bytes: hot_bytes as u64,
            hot_entries: hot_entries as u64,
            replica_bytes: copies.bytes as u64,
            replica_entries: copies.entries as u64,
            ..counted
        };
        if self.has_source() {
            return stats;
        }
        // Without a source, each read is one of the store, which counts them.
        let hits = held.hits + held.stale + held.negative;
        KeySpaceStats { gets: counted.gets + hits + held.misses, cache_hits: counted.cache_hits + hits, ..stats }
    }

    /// Says how the keyspace's parts are.
    pub(crate) fn health(&self) -> Vec<PartHealth> {
        use memstache_core::Health as _;
        let mut parts = vec![self.store.health()];
        if let Some(loads) = &self.loads {
            parts.extend(loads.breaker.as_ref().map(|breaker| breaker.health()));
            parts.extend(loads.cache.health().parts);
        }
        for part in &mut parts {
            part.part = format!("{}: {}", self.spec.name().as_str(), part.part).into();
        }
        parts
    }

    /// Returns how the breaker of the source is, if it has one.
    #[cfg(feature = "admin")]
    pub(crate) fn breaker(&self) -> Option<memstache_core::resilience::BreakerSnapshot> {
        self.loads.as_ref()?.breaker.as_ref().map(CircuitBreaker::snapshot)
    }

    /// Returns for how many keys a second the source is asked at most: by all nodes, and by this one.
    #[cfg(feature = "admin")]
    pub(crate) fn limit(&self) -> Option<(u32, u32)> {
        self.loads.as_ref()?.guard.limit()
    }

    /// Returns how long a read may take, unless the engine's is to be used.
    pub(crate) fn read_timeout(&self) -> Option<Duration> {
        self.spec.0.read_timeout
    }

    /// Returns how long a write may take, unless the engine's is to be used.
    pub(crate) fn write_timeout(&self) -> Option<Duration> {
        self.spec.0.write_timeout
    }
}

impl Loads {
    fn new(
        spec: &KeySpace,
        store: &MemoryStore<AnyPolicy>,
        (counters, herd, refusals): (&Arc<Counters>, &Arc<Herd>, &Arc<Refusals>),
        around: &Surroundings,
        recorder: Option<Arc<dyn Recorder>>,
    ) -> Result<Option<Self>> {
        let settings = &spec.0;
        let Some(source) = &settings.source else { return Ok(None) };
        let clock = Arc::clone(&around.clock);
        let service = match &settings.layers {
            Some(layers) => layers(store.clone()),
            None => ErasedService::new(store.clone()),
        };
        let limit = settings.rate_limit.or(around.rate_limit);
        let guard = Guard::new(
            Arc::clone(source),
            Arc::clone(settings),
            limit,
            Arc::clone(refusals),
            Arc::clone(counters),
            Arc::clone(herd),
            Arc::clone(&clock),
        )?;
        let breaker = settings.breaker.or(around.breaker).map(CircuitBreaker::new).transpose()?;
        let (events, name) = (Arc::clone(&around.events), settings.name.clone());
        let told = move |state| events.tell(&EngineEvent::SourceBreaker { keyspace: name.clone(), state });
        let breaker = breaker.map(|breaker| breaker.with_clock(Arc::clone(&clock)).with_listener(told));
        let mut builder = Cache::builder(service.clone())
            .keyspace(settings.name.as_str())
            .format(Plain(settings.format))
            .clock(clock)
            .load_timeout(settings.load_timeout)
            .stale_for(settings.stale_for)
            .max_loads(settings.max_loads);
        if let Some(ttl) = settings.default_ttl {
            builder = builder.ttl(ttl);
        }
        if let Some(ttl) = settings.negative_ttl {
            builder = builder.negative_ttl(ttl);
        }
        if let Some(fraction) = settings.refresh_ahead {
            builder = builder.refresh_ahead(fraction);
        }
        if let Some(beta) = settings.early_refresh {
            builder = builder.early_refresh(beta);
        }
        if let Some(breaker) = &breaker {
            builder = builder.source_breaker(breaker);
        }
        if let Some(recorder) = recorder {
            builder = builder.recorder(OfLoads(recorder));
        }
        let cache = builder.build_tenanted()?;
        Ok(Some(Self { service, cache, guard: Arc::new(guard), breaker, apart: Coalesce::new() }))
    }

    /// Returns the handle on a space.
    pub(super) fn handle(&self, space: &Space) -> Result<Cache<Plain>> {
        let keyspace = KeyspaceName::new(space.keyspace())?;
        let cache = self.cache.with_keyspace(&keyspace);
        Ok(match space.tenant() {
            Some(tenant) => cache.for_tenant(&TenantId::new(tenant)?),
            None => cache.shared(),
        })
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("spec", &self.spec).field("store", &self.store).finish_non_exhaustive()
    }
}
