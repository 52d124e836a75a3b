//! Which tier would answer a key, and why not.

use super::{Cache, core::Core};
use crate::{
    address::{Address, Parts},
    error::{Error, ErrorKind, Result},
    explain::{Expected, Explanation},
    format::Format,
    request::{Consistency, Explain, Scope, TierReport, Touch, TouchKind},
    store::probed,
};

impl<F: Format> Cache<F> {
    /// Says which tier would answer a read of a key now, and why the others would not, with ages and lifetimes.
    ///
    /// It changes nothing: no lease is taken, no window is moved, and it is no request in
    /// [`CacheStats`](crate::CacheStats). It goes through all layers, so those that count what they pass or open count it
    /// as such. What is told is what a read by this handle would come to: by its format, its schema and its
    /// `max_staleness`. Whether the value's type can be decoded nobody tries.
    ///
    /// A tier that cannot be asked is [`Unavailable`](crate::Reason::Unavailable); errors are only those of a key that is
    /// none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> memstache_core::Result<()> {
    /// # use memstache_core::{Cache, Json, MemoryStore, Stack};
    /// # let stack = Stack::over(MemoryStore::builder().build()?).build();
    /// # let cache = Cache::builder(stack).keyspace("k").format(Json).build()?;
    /// use memstache_core::{Outcome, Reason};
    ///
    /// cache.set("tea", &3).tags(["shop:7"]).await?;
    /// assert_eq!(cache.explain("tea").await?.outcome, Some(Outcome::Hit));
    ///
    /// cache.invalidate_tag("shop:7").await?;
    /// let why = cache.explain("tea").await?;
    /// assert_eq!((why.outcome, why.reason), (Some(Outcome::Miss), Some(Reason::Tag)));
    /// assert!(why.to_string().starts_with("miss: in memory it was invalidated by a tag"), "{why}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn explain(&self, key: impl AsRef<[u8]>) -> Result<Explanation> {
        let core = &self.core;
        let parts = Parts::new(self.space(), key.as_ref())?;
        let address = core.address(&parts)?;
        let now = core.clock.now();
        let mut scope = core.scope(Some(core.store_deadline(now, None)));
        // Asked here, so that it is told even if nothing comes from below.
        let near = core.service.near().and_then(|near| near.explain(&parts, &scope, now));
        if near.is_some() {
            scope.consistency = Consistency::Authority;
        }
        let below = core.explain(address, scope).await;
        let expected =
            Expected { format: self.format.id(), schema: core.settings.schema, max_staleness: scope.max_staleness };
        Ok(Explanation::judge(near, below, &expected, core.clock.now()))
    }
}

impl Core {
    /// Asks the stack; one that does not know explanations is asked whether it has a live value.
    async fn explain(&self, address: Address, scope: Scope) -> Result<Vec<TierReport>> {
        let explained = self.call(Explain { items: address.clone().into(), scope }).await;
        let explained = explained.and_then(|items| items.into_one().unwrap_or_else(|| Err(super::core::not_one())));
        match explained {
            Err(error) if is_unknown(&error) => {
                let mut touch = Touch::one(address, TouchKind::Probe);
                touch.scope = scope;
                let live = self.call(touch).await?.into_one().unwrap_or_else(|| Err(super::core::not_one()))?;
                Ok(vec![probed("store", live)])
            }
            explained => explained,
        }
    }
}

fn is_unknown(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Protocol)
}
