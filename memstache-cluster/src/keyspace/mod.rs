//! What a keyspace is: where its values come from, how long they live, what protects their source.

mod builder;
mod definition;
mod expiry;
mod limits;
mod source;
mod sourced;

use std::{fmt, sync::Arc, time::Duration};

use memstache_core::{
    AnyPolicy, ErasedService, FormatId, KeyspaceName, MemoryStore, PolicyKind, resilience::BreakerConfig,
};

pub use self::{
    builder::KeySpaceBuilder,
    expiry::Expiry,
    limits::RateLimit,
    source::{DataSource, Key, SourceFn, source_fn},
    sourced::Sourced,
};
pub(crate) use self::{
    builder::check_breaker,
    definition::{Definition, MAX_DEFINITION},
    expiry::lifetime,
    source::AnySource,
};

/// Builds the layers between the loads of a keyspace and its store.
pub(crate) type Layers = Arc<dyn Fn(MemoryStore<AnyPolicy>) -> ErasedService + Send + Sync>;

/// Says when a key's value expires, if its source does not.
pub(crate) type ExpiryOf = Arc<dyn Fn(&Key) -> Option<Expiry> + Send + Sync>;

/// A keyspace: a family of keys with one source, one bound and one set of lifetimes.
///
/// There are two kinds. **With a source**, the owner of a key loads it: once, whoever asks. Compression and sealing belong to
/// the keyspace ([`layers`](KeySpaceBuilder::layers)) and run on the owner, below the load. **Without a source**, callers put
/// values in, or load them under the owner's leases by a typed cache over [`Engine::service`](crate::Engine::service); all
/// transforms are above.
///
/// Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use memstache_cluster::{KeySpace, Key, Sourced, source_fn};
///
/// let products = KeySpace::builder("products")
///     .max_bytes(64 << 20)
///     .source(source_fn(|key: Key| async move {
///         let row = format!("row {}", String::from_utf8_lossy(key.name())); // from your database
///         Ok(Some(Sourced::new(row).ttl(Duration::from_secs(60))))
///     }))
///     .negative_ttl(Duration::from_secs(5))
///     .stale_for(Duration::from_secs(30))
///     .build()?;
/// assert_eq!(products.name().as_str(), "products");
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct KeySpace(pub(crate) Arc<Settings>);

/// The settings of a keyspace, as its builder has checked them.
pub(crate) struct Settings {
    pub(crate) name: KeyspaceName,
    pub(crate) max_bytes: usize,
    pub(crate) policy: PolicyKind,
    pub(crate) source: Option<Arc<dyn AnySource>>,
    pub(crate) expiry: Option<ExpiryOf>,
    pub(crate) default_ttl: Option<Duration>,
    pub(crate) negative_ttl: Option<Duration>,
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) load_timeout: Duration,
    pub(crate) stale_for: Duration,
    pub(crate) refresh_ahead: Option<f64>,
    pub(crate) early_refresh: Option<f64>,
    pub(crate) max_loads: usize,
    pub(crate) format: FormatId,
    pub(crate) layers: Option<Layers>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) breaker: Option<BreakerConfig>,
    pub(crate) warm_keys: Vec<Vec<u8>>,
    pub(crate) replicas: usize,
}

impl KeySpace {
    /// Returns the name.
    pub fn name(&self) -> &KeyspaceName {
        &self.0.name
    }

    /// Returns the bound of the bytes that each node holds of it.
    pub fn max_bytes(&self) -> usize {
        self.0.max_bytes
    }

    /// Returns how many nodes hold each key, its owner included.
    pub fn replicas(&self) -> usize {
        self.0.replicas
    }

    /// Returns whether the engine loads it from a source.
    pub fn has_source(&self) -> bool {
        self.0.source.is_some()
    }

    /// Returns whether entries that were stored under other settings are good under these.
    pub(crate) fn keeps_entries_of(&self, old: &Self) -> bool {
        let (new, old) = (&self.0, &old.0);
        let same_layers = match (&new.layers, &old.layers) {
            (None, None) => true,
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            _ => false,
        };
        let same_store = new.max_bytes == old.max_bytes && new.policy == old.policy;
        // What one kind of keyspace stores, the other would open in another way.
        same_store && same_layers && new.format == old.format && new.source.is_some() == old.source.is_some()
    }
}

impl fmt::Debug for KeySpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySpace")
            .field("max_bytes", &self.0.max_bytes)
            .field("source", &self.0.source.is_some())
            .field("default_ttl", &self.0.default_ttl)
            .finish_non_exhaustive()
    }
}
