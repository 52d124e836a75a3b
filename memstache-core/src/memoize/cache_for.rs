//! Whose cache a request belongs to.

use std::{fmt, sync::Arc};

use crate::{
    cache::{Cache, Tenanted},
    format::Format,
    name::TenantId,
};

/// Chooses the cache of a request.
///
/// A `Cache<F>` is the one for all requests. A `Cache<F, Tenanted>` is none: say whose requests they are by
/// [`MemoizeLayer::tenant_with`](super::MemoizeLayer::tenant_with).
///
/// ```compile_fail,E0277
/// # fn f(cache: memstache_core::Cache<memstache_core::Json, memstache_core::Tenanted>) {
/// # use tower::{Layer, ServiceExt};
/// # let service = tower::service_fn(|word: String| async { Ok::<_, std::fmt::Error>(word) });
/// let layer = memstache_core::memoize::MemoizeLayer::new(cache, |word: &String| word.clone());
/// drop(layer.layer(service).oneshot("tea".to_owned())); // no tenant, no service
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whose cache a request belongs to",
    note = "for a tenanted cache, call `.tenant_with(|request| ..)` on the layer"
)]
pub trait CacheFor<Req>: Clone + Send + Sync + 'static {
    /// The cache's format.
    type Format: Format;

    /// Returns the cache of a request; `None` passes it by.
    fn cache_for(&self, request: &Req) -> Option<Cache<Self::Format>>;
}

impl<F: Format, Req> CacheFor<Req> for Cache<F> {
    type Format = F;

    fn cache_for(&self, _: &Req) -> Option<Self> {
        Some(self.clone())
    }
}

/// The cache of each request's tenant; made by [`MemoizeLayer::tenant_with`](super::MemoizeLayer::tenant_with).
pub struct ByTenant<F, Req> {
    cache: Cache<F, Tenanted>,
    tenant: Arc<dyn Fn(&Req) -> Option<TenantId> + Send + Sync>,
}

impl<F, Req> ByTenant<F, Req> {
    pub(super) fn new(
        cache: Cache<F, Tenanted>,
        tenant: impl Fn(&Req) -> Option<TenantId> + Send + Sync + 'static,
    ) -> Self {
        Self { cache, tenant: Arc::new(tenant) }
    }
}

impl<F: Format, Req: 'static> CacheFor<Req> for ByTenant<F, Req> {
    type Format = F;

    fn cache_for(&self, request: &Req) -> Option<Cache<F>> {
        (self.tenant)(request).map(|tenant| self.cache.for_tenant(&tenant))
    }
}

impl<F: Clone, Req> Clone for ByTenant<F, Req> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), tenant: Arc::clone(&self.tenant) }
    }
}

impl<F, Req> fmt::Debug for ByTenant<F, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByTenant").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// A cache for each request; made by [`MemoizeLayer::cache_with`](super::MemoizeLayer::cache_with).
pub struct ByRequest<F, Req> {
    choose: Arc<dyn Fn(&Req) -> Option<Cache<F>> + Send + Sync>,
}

impl<F, Req> ByRequest<F, Req> {
    pub(super) fn new(choose: impl Fn(&Req) -> Option<Cache<F>> + Send + Sync + 'static) -> Self {
        Self { choose: Arc::new(choose) }
    }
}

impl<F: Format, Req: 'static> CacheFor<Req> for ByRequest<F, Req> {
    type Format = F;

    fn cache_for(&self, request: &Req) -> Option<Cache<F>> {
        (self.choose)(request)
    }
}

impl<F, Req> Clone for ByRequest<F, Req> {
    fn clone(&self) -> Self {
        Self { choose: Arc::clone(&self.choose) }
    }
}

impl<F, Req> fmt::Debug for ByRequest<F, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByRequest").finish_non_exhaustive()
    }
}
