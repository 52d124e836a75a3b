//! The typed handle on a stack.

mod builder;
mod call;
mod core;
mod counters;
mod explain;
mod fetched;
mod invalidate;
mod load;
mod near;
mod options;
mod read;
mod read_many;
mod write;
mod write_many;

use std::{fmt, sync::Arc};

use self::core::Core;
#[cfg(feature = "config")]
pub(crate) use self::load::{DEFAULT_MAX_LOADS, MOST_LOADS};
pub(crate) use self::options::{Until, WriteOptions, write_setters};
pub use self::{
    builder::CacheBuilder,
    call::Call,
    counters::{CacheStats, Outcome},
    fetched::Fetched,
    load::{
        BatchLoader, IntoLoaded, LoadBuilder, LoadContext, LoadFuture, LoadManyBuilder, Loaded, Loader, Shape, shape,
    },
    read::Read,
    write::SetBuilder,
    write_many::{RemoveManyBuilder, SetManyBuilder},
};
use crate::{
    address::{Address, Parts, Space},
    error::{Error, Result},
    format::Format,
    health::{HealthReport, PartHealth},
    name::{KeyspaceName, TenantId},
    request::{Operation, Request},
    service::ErasedService,
};

/// A typed handle on a stack, for one keyspace.
///
/// `Cache<F>` reads and writes; `Cache<F, Tenanted>` does neither until it is told for whom:
/// [`for_tenant`](Cache::for_tenant) or [`shared`](Cache::shared). Clones share their settings, loads and counts; a
/// clone costs a few reference counts.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use std::time::Duration;
/// use memstache_core::{Cache, Json, MemoryStore, Stack};
///
/// let stack = Stack::over(MemoryStore::builder().max_bytes(1 << 20).build()?).build();
/// let cache = Cache::builder(stack).keyspace("greetings").format(Json).ttl(Duration::from_secs(60)).build()?;
///
/// cache.set("en", "hello").await?;
/// assert_eq!(cache.get::<String>("en").await?.as_deref(), Some("hello"));
///
/// let loaded: String = cache.get_or_load("de", |_| async { Ok::<_, std::io::Error>("hallo".to_owned()) }).await?;
/// assert_eq!(loaded, "hallo");
/// # Ok(())
/// # }
/// ```
pub struct Cache<F, S = Scoped> {
    pub(crate) core: Arc<Core>,
    pub(crate) format: F,
    state: S,
}

/// The state of a handle that knows whose keys it reads and writes.
#[derive(Clone, Debug)]
pub struct Scoped {
    space: Space,
}

/// The state of a handle that must be told a tenant first.
///
/// ```compile_fail
/// # async fn f(cache: memstache_core::Cache<memstache_core::Json, memstache_core::Tenanted>) {
/// cache.get::<String>("key").await; // no tenant, no call
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Tenanted {
    keyspace: KeyspaceName,
}

impl Cache<()> {
    /// Starts building a handle on a stack.
    pub fn builder(service: ErasedService) -> CacheBuilder<()> {
        CacheBuilder::new(service)
    }
}

impl<F: Format> Cache<F, Tenanted> {
    /// Returns the handle on one tenant's keys; in a handler, of `TenantId::new(text)?`.
    pub fn for_tenant(&self, tenant: &TenantId) -> Cache<F> {
        self.scoped(Some(tenant))
    }

    /// Returns the handle on the keys that belong to no tenant; nothing else reads or writes those.
    pub fn shared(&self) -> Cache<F> {
        self.scoped(None)
    }

    fn scoped(&self, tenant: Option<&TenantId>) -> Cache<F> {
        let space = Space::new(tenant, &self.state.keyspace);
        Cache { core: Arc::clone(&self.core), format: self.format.clone(), state: Scoped { space } }
    }

    /// Returns the handle on another keyspace of the same stack.
    #[must_use]
    pub fn with_keyspace(&self, keyspace: &KeyspaceName) -> Self {
        Self { state: Tenanted { keyspace: keyspace.clone() }, ..self.clone() }
    }
}

impl<F: Format> Cache<F> {
    /// Returns the handle on another keyspace of the same tenant.
    #[must_use]
    pub fn with_keyspace(&self, keyspace: &KeyspaceName) -> Self {
        let tenant = self.state.space.tenant().map(|tenant| TenantId::new(tenant).expect("it was one"));
        let space = Space::new(tenant.as_ref(), keyspace);
        Self { state: Scoped { space }, ..self.clone() }
    }

    /// Builds the address of a key, as this handle names it: for [`run`](Self::run).
    pub fn address(&self, key: impl AsRef<[u8]>) -> Result<Address> {
        self.core.address(&Parts::new(&self.state.space, key.as_ref())?)
    }

    /// Returns the tenant and keyspace that the handle reads and writes.
    pub fn space(&self) -> &Space {
        &self.state.space
    }
}

impl<F, S> Cache<F, S> {
    /// Returns what this handle, its clones and its tenants have counted.
    pub fn stats(&self) -> CacheStats {
        self.core.counters.snapshot()
    }

    /// Returns how many loads are running.
    pub fn loads_in_flight(&self) -> usize {
        self.core.flights.len()
    }

    /// Says how the parts of the stack are, and the loads of this handle: those are degraded near
    /// [`max_loads`](CacheBuilder::max_loads).
    ///
    /// Asked are those parts that the stack [watches](crate::Stack::watch); none of them talks to anybody for it. A loader
    /// or a store that hangs is told by the breaker, if there is one.
    pub fn health(&self) -> HealthReport {
        let stats = self.stats();
        let loads = PartHealth::healthy("loads")
            .with("in_flight", self.loads_in_flight())
            .with("failed", stats.load_failures)
            .with("without_store", stats.loads_degraded);
        let loads = self.core.bound.judge(loads);
        self.core.service.health().parts.into_iter().chain([loads]).collect()
    }

    /// Returns the stack.
    pub fn service(&self) -> &ErasedService {
        &self.core.service
    }

    async fn send_any<O: Operation>(&self, mut request: Request) -> Result<O::Output> {
        let deadline = self.core.store_deadline(self.core.clock.now(), None);
        request.scope_mut().deadline.get_or_insert(deadline);
        self.core.send::<O>(request).await
    }
}

impl<F> Cache<F> {
    /// Sends any operation through the stack: the way to what has no method of its own.
    ///
    /// Nothing is counted. An operation without a deadline gets the cache's store timeout. All of its items must be of the
    /// handle's own tenant, in whatever keyspace, and those of the handle of no tenant must be nobody's.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// # use memstache_core::{Cache, Json, MemoryStore, Stack};
    /// # let stack = Stack::over(MemoryStore::builder().build()?).build();
    /// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
    /// use memstache_core::{Get, Lookup};
    ///
    /// let found = cache.run(Get::one(cache.address("tea")?)).await?;
    /// assert!(matches!(found.into_one(), Some(Ok(Lookup::Miss))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), and nothing is done, if an item is of another tenant; else those of the stack.
    pub async fn run<O: Operation>(&self, op: O) -> Result<O::Output> {
        let request: Request = op.into();
        let own = self.state.space.tenant();
        if request.tenants().any(|tenant| tenant != own) {
            return Err(Error::invalid("every item", "of the handle's own tenant", "one of another"));
        }
        self.send_any::<O>(request).await
    }
}

impl<F> Cache<F, Tenanted> {
    /// Sends any operation through the stack, for items of whatever tenants: for what is nobody's in particular, such as the
    /// work of an operator. A tenant's own handle takes none of others.
    ///
    /// Nothing is counted. An operation without a deadline gets the cache's store timeout.
    pub async fn run<O: Operation>(&self, op: O) -> Result<O::Output> {
        self.send_any::<O>(op.into()).await
    }
}

impl<F: Clone, S: Clone> Clone for Cache<F, S> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), format: self.format.clone(), state: self.state.clone() }
    }
}

impl<F, S: fmt::Debug> fmt::Debug for Cache<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("state", &self.state).field("core", &self.core).finish()
    }
}
