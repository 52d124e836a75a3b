use std::fmt;

use http::request::Parts;
use memstache_core::{Cache, Format, TenantId, Tenanted};
use tower_layer::Layer;

use super::TenantService;
use crate::{
    request::{Exempt, Shared, TenantCache},
    resolve::{Refusal, Resolved, Resolver},
};

/// Finds out whose a request is, once, and hands on that tenant's cache in the request's extensions.
///
/// Handlers take it out by [`TenantRequest`](crate::TenantRequest), in Axum by the extractor [`TenantCache`]; the
/// [`TenantId`] is an extension, too. The handle knows its tenant: it can be moved into a task, a load, or wherever no
/// request is. A request that is refused never reaches the service below.
///
/// Right: inside of what needs no tenant (traces, timeouts, CORS, authentication), outside of what is to be a tenant's
/// (memoized responses). Wrong: outside of the layer that verifies claims, where there are none yet.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use std::convert::Infallible;
/// use http::{Request, Response};
/// use memstache_core::{Cache, Json, MemoryStore, Stack};
/// use memstache_tenancy::{Resolver, TenantLayer, TenantRequest};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let stack = Stack::over(MemoryStore::builder().build()?).build();
/// let visits = Cache::builder(stack).keyspace("visits").format(Json).build_tenanted()?;
/// let resolver = Resolver::builder().header("x-shop").build()?;
///
/// let service = TenantLayer::new(visits, resolver).layer(service_fn(|request: Request<String>| async move {
///     let visits = request.tenant_cache::<Json>().expect("there is a layer");
///     let count = visits.get::<u32>("home").await.ok().flatten().unwrap_or_default() + 1;
///     visits.set("home", &count).await.ok();
///     Ok::<_, Infallible>(Response::builder().header("x-visits", count).body(String::new()).expect("it is one"))
/// }));
///
/// for (shop, count) in [("acme", "1"), ("acme", "2"), ("umbrella", "1")] {
///     let request = Request::get("/").header("x-shop", shop).body(String::new())?;
///     assert_eq!(service.clone().oneshot(request).await?.headers()["x-visits"], count);
/// }
/// let nobodys = service.clone().oneshot(Request::new(String::new())).await?;
/// assert_eq!(nobodys.status(), 400);
/// # Ok(())
/// # }
/// ```
///
/// # Caches
/// Of another keyspace of the same stack: [`Cache::with_keyspace`] in the handler. Of another stack: its tenanted handle
/// in the handler's state, and `for_tenant` of the request's [`TenantId`].
///
/// # Responses
/// Those that passed come out as they are, with the names of header sources added to their `Vary`. Refusals are as
/// [`Resolver::response`] says.
#[derive(Clone)]
pub struct TenantLayer<F> {
    cache: Cache<F, Tenanted>,
    resolver: Resolver,
}

impl<F: Format> TenantLayer<F> {
    /// Creates the layer.
    pub const fn new(cache: Cache<F, Tenanted>, resolver: Resolver) -> Self {
        Self { cache, resolver }
    }

    pub(super) const fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Resolves a request, and puts into its extensions what its handlers look for.
    ///
    /// What was there before is another layer's, and is not left beside the new.
    pub(super) fn prepare(&self, parts: &mut Parts) -> Result<(), Refusal> {
        let resolved = self.resolver.resolve(parts)?;
        let extensions = &mut parts.extensions;
        extensions.remove::<Exempt>();
        extensions.remove::<Shared>();
        match resolved {
            Resolved::Tenant(tenant) => {
                extensions.insert(TenantCache(self.cache.for_tenant(&tenant)));
                extensions.insert(tenant);
            }
            Resolved::Shared => {
                extensions.remove::<TenantId>();
                extensions.insert(TenantCache(self.cache.shared()));
                extensions.insert(Shared);
            }
            Resolved::Exempt => {
                extensions.remove::<TenantId>();
                extensions.remove::<TenantCache<F>>();
                extensions.insert(Exempt);
            }
        }
        Ok(())
    }
}

impl<F: Format, S> Layer<S> for TenantLayer<F> {
    type Service = TenantService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        TenantService::new(inner, self.clone())
    }
}

impl<F> fmt::Debug for TenantLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantLayer").field("cache", &self.cache).field("resolver", &self.resolver).finish()
    }
}
