//! Hiding many entries at once.

use std::sync::Arc;

use super::{Cache, Tenanted, call::Call, core::Core};
use crate::{
    error::{Error, Result},
    format::Format,
    name::{Tag, TenantId},
    request::{Invalidate, OneOrMany, Operation, Request, Response, Target},
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
    pub fn invalidate_tag(&self, tag: impl AsRef<str>) -> Call<()> {
        self.invalidate_tags([tag])
    }

    /// Invalidates every value of this keyspace that carries any of these tags.
    ///
    /// The first tag that could not be invalidated is the error; the others are done all the same.
    pub fn invalidate_tags(&self, tags: impl IntoIterator<Item: AsRef<str>>) -> Call<()> {
        let space = self.space();
        let target = |tag| Ok(Target::Tag(space.clone(), Tag::new(tag)?));
        match tags.into_iter().map(target).collect::<Result<OneOrMany<Target>>>() {
            Ok(none) if none.is_empty() => Call::answered(&self.core, (), done),
            targets => invalidate(&self.core, targets),
        }
    }

    /// Removes every value of this tenant's keyspace; O(1), whatever their number.
    pub fn clear(&self) -> Call<()> {
        invalidate(&self.core, Ok(OneOrMany::One(Target::Space(self.space().clone()))))
    }
}

impl<F: Format> Cache<F> {
    /// Removes every value of this handle's tenant, in all its keyspaces; O(1), whatever their number.
    ///
    /// A handle on the shared space has no tenant: [`Invalid`](crate::ErrorKind::Invalid).
    pub fn clear_tenant(&self) -> Call<()> {
        let none = || Error::invalid("the handle", "of a tenant", "one of the shared space");
        let target = self.space().tenant().ok_or_else(none).and_then(TenantId::new).map(Target::Tenant);
        invalidate(&self.core, target.map(OneOrMany::One))
    }
}

impl<F: Format> Cache<F, Tenanted> {
    /// Removes every value of a tenant, in all its keyspaces; O(1), whatever their number.
    pub fn clear_tenant(&self, tenant: &TenantId) -> Call<()> {
        invalidate(&self.core, Ok(OneOrMany::One(Target::Tenant(tenant.clone()))))
    }
}

fn invalidate(core: &Arc<Core>, items: Result<OneOrMany<Target>>) -> Call<()> {
    let request = items.map(|items| Request::Invalidate(Invalidate { items, scope: core.scope(None) }));
    Call::new(core, request, done)
}

/// The first target that could not be invalidated is the error.
fn done(response: Response) -> Result<()> {
    Invalidate::output(response)?.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}
