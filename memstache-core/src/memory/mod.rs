//! Keeps entries in this process, bounded in bytes.

mod budget;
mod builder;
mod events;
mod leases;
mod lines;
mod policy;
mod read;
mod sequences;
mod service;
mod shared;
mod slab;
mod slot;
mod stats;
mod sweeper;
mod table;
mod touch;
mod wait;
mod wheel;
mod write;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use self::shared::{Config, Shared};
pub use self::{
    builder::MemoryBuilder,
    policy::{EvictionPolicy, Lru, SlotId},
    service::MemoryFuture,
    stats::MemoryStats,
};
#[cfg(feature = "near")]
pub(crate) use self::{
    sequences::Sequences,
    slot::{Key, Slot, bytes_of},
    table::Table,
};

/// Keeps entries in this process, bounded in bytes.
pub struct MemoryStore<P = Lru> {
    shared: Arc<Shared<P>>,
}

impl MemoryStore {
    /// Builds a store.
    ///
    /// ```
    /// use std::time::Duration;
    /// use memstache_core::{
    ///     Address, Get, KeyspaceName, Lifetime, Lookup, MemoryStore, NewEntry, Set, Space, Store,
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
    /// let store = MemoryStore::builder().max_bytes(16 * 1024 * 1024).build()?;
    /// let space = Space::new(None, &KeyspaceName::new("products")?);
    /// let address = Address::plain(&space, "7")?;
    ///
    /// let entry = NewEntry::new("a lamp", Lifetime::new(Duration::from_secs(60))?);
    /// store.set(Set::one(address.clone(), entry)).await?;
    /// let found = store.get(Get::one(address)).await?.into_one();
    /// assert!(matches!(found, Some(Ok(Lookup::Hit(entry))) if entry.value == "a lamp"));
    /// assert!(store.stats().bytes < 16 * 1024 * 1024);
    /// # Ok(()) }
    /// ```
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder::new()
    }
}

impl<P: EvictionPolicy> MemoryStore<P> {
    fn from_config(config: Config<P>) -> Self {
        Self { shared: Arc::new(Shared::new(config)) }
    }

    /// Returns what the store holds and has done.
    pub fn stats(&self) -> MemoryStats {
        self.shared.stats()
    }

    /// Lets everything leave whose time is over: dead entries, leases that have aged out, cleared spaces.
    ///
    /// A task does so about once a second where there is a tokio runtime, and every write does a part of it.
    pub fn maintain(&self) {
        self.shared.maintain(self.shared.clock.now());
    }
}

impl<P> Clone for MemoryStore<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<P: EvictionPolicy> fmt::Debug for MemoryStore<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = (self.shared.budget.used(), self.shared.budget.max());
        f.debug_struct("MemoryStore").field("bytes", &bytes.0).field("max_bytes", &bytes.1).finish_non_exhaustive()
    }
}
