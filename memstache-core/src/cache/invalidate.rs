//! Hiding many entries at once.

use super::{
    Cache, Tenanted,
    core::{Core, UNLEASED},
};
use crate::{
    error::Result,
    format::Format,
    name::{Tag, TenantId},
    request::{Invalidate, OneOrMany, Target},
};

impl<F: Format> Cache<F> {
    /// Invalidates every value of this keyspace that carries a tag; O(1), whatever their number.
    ///
    /// A load that began before is never seen by who asks after, even if its value is stored later.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// # use memstache_core::{Cache, Json, MemoryStore, Stack};
    /// # let stack = Stack::over(MemoryStore::builder().build()?).build();
    /// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
    /// cache.set("tea", &3).tags(["shop:7"]).await?;
    /// cache.invalidate_tag("shop:7").await?;
    /// assert_eq!(cache.get::<u32>("tea").await?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn invalidate_tag(&self, tag: impl AsRef<str>) -> Result<()> {
        self.invalidate_tags([tag]).await
    }

    /// Invalidates every value of this keyspace that carries any of these tags.
    ///
    /// The first tag that could not be invalidated is the error; the others are done all the same.
    pub async fn invalidate_tags(&self, tags: impl IntoIterator<Item: AsRef<str>>) -> Result<()> {
        let space = self.space();
        let target = |tag| Ok(Target::Tag(space.clone(), Tag::new(tag)?));
        let targets: Vec<Target> = tags.into_iter().map(target).collect::<Result<_>>()?;
        if targets.is_empty() { Ok(()) } else { self.core.invalidate(targets.into_iter().collect()).await }
    }

    /// Removes every value of this tenant's keyspace; O(1), whatever their number.
    pub async fn clear(&self) -> Result<()> {
        self.core.invalidate(OneOrMany::One(Target::Space(self.space().clone()))).await
    }
}

impl<F: Format> Cache<F, Tenanted> {
    /// Removes every value of a tenant, in all its keyspaces; O(1), whatever their number.
    pub async fn clear_tenant(&self, tenant: &TenantId) -> Result<()> {
        self.core.invalidate(OneOrMany::One(Target::Tenant(tenant.clone()))).await
    }
}

impl Core {
    async fn invalidate(&self, items: OneOrMany<Target>) -> Result<()> {
        let scope = self.scope(Some(self.store_deadline(self.clock.now(), None)));
        let done = self.call(Invalidate { items, scope }).await;
        // Loads without a lease have nothing else that would keep later callers from joining them.
        self.flights.retain(|_, id| id != UNLEASED);
        done?.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }
}
