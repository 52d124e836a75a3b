use tower_layer::Layer;

use super::{ByRequest, ByTenant, Memoize};
use crate::{
    cache::{Cache, Tenanted},
    name::TenantId,
};

/// Answers a service's requests from a cache.
///
/// Made by [`new`](Self::new) from a closure that says the key, or by [`with_memo`](Self::with_memo) from a
/// [`Memo`](super::Memo). See the [module](super) for what its callers may rely on.
#[derive(Clone, Debug)]
pub struct MemoizeLayer<C, M> {
    cache: C,
    memo: M,
}

impl<C, M> MemoizeLayer<C, M> {
    /// Caches in `cache` what a [`Memo`](super::Memo) says.
    pub const fn with_memo(cache: C, memo: M) -> Self {
        Self { cache, memo }
    }

    /// Chooses the cache by the request: another keyspace for some, `None` for those that are passed by.
    ///
    /// It takes the place of the cache that the layer was made with.
    ///
    /// ```
    /// use memstache_core::{KeyspaceName, memoize::MemoizeLayer};
    /// # use memstache_core::{Cache, Json, MemoryStore, Stack};
    /// # let stack = Stack::over(MemoryStore::builder().build()?).build();
    /// # let pages = Cache::builder(stack).keyspace("pages").format(Json).build()?;
    ///
    /// let images = pages.with_keyspace(&KeyspaceName::new("images")?);
    /// let layer = MemoizeLayer::new((), |path: &String| path.clone())
    ///     .cache_with(move |path: &String| Some(if path.ends_with(".png") { images.clone() } else { pages.clone() }));
    /// # let service = tower::service_fn(|path: String| async { Ok::<_, std::fmt::Error>(path) });
    /// # drop(tower::ServiceExt::oneshot(tower::Layer::layer(&layer, service), String::new()));
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn cache_with<F, Req>(
        self,
        choose: impl Fn(&Req) -> Option<Cache<F>> + Send + Sync + 'static,
    ) -> MemoizeLayer<ByRequest<F, Req>, M> {
        MemoizeLayer { cache: ByRequest::new(choose), memo: self.memo }
    }

    pub(super) fn memo_mut(&mut self) -> &mut M {
        &mut self.memo
    }
}

impl<F, M> MemoizeLayer<Cache<F, Tenanted>, M> {
    /// Says whose request it is: each tenant's responses are his own. `None` passes the request by.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), memstache_core::BoxError> {
    /// use memstache_core::{TenantId, memoize::MemoizeLayer};
    /// use tower::{Layer, ServiceExt, service_fn};
    /// # use memstache_core::{Cache, Json, MemoryStore, Stack};
    /// # let stack = Stack::over(MemoryStore::builder().build()?).build();
    ///
    /// #[derive(Clone)]
    /// struct Ask { tenant: TenantId, page: u32 }
    ///
    /// let cache = Cache::builder(stack).keyspace("pages").format(Json).build_tenanted()?;
    /// let pages = MemoizeLayer::new(cache, |ask: &Ask| ask.page.to_string())
    ///     .tenant_with(|ask: &Ask| Some(ask.tenant.clone()))
    ///     .layer(service_fn(|ask: Ask| async move { Ok::<_, std::io::Error>(format!("{}'s", ask.tenant.as_str())) }));
    ///
    /// let ask = |tenant| Ok::<_, memstache_core::Error>(Ask { tenant: TenantId::new(tenant)?, page: 1 });
    /// assert_eq!(pages.clone().oneshot(ask("acme")?).await?, "acme's");
    /// assert_eq!(pages.clone().oneshot(ask("evil")?).await?, "evil's");
    /// # Ok(())
    /// # }
    /// ```
    pub fn tenant_with<Req>(
        self,
        tenant: impl Fn(&Req) -> Option<TenantId> + Send + Sync + 'static,
    ) -> MemoizeLayer<ByTenant<F, Req>, M> {
        MemoizeLayer { cache: ByTenant::new(self.cache, tenant), memo: self.memo }
    }
}

impl<S, C: Clone, M: Clone> Layer<S> for MemoizeLayer<C, M> {
    type Service = Memoize<S, C, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Memoize::new(inner, self.cache.clone(), self.memo.clone())
    }
}
