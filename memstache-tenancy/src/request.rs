//! What a handler finds in a request.

use std::{fmt, ops::Deref};

use http::{Extensions, Request, request::Parts};
use memstache_core::{Cache, Format, TenantId};

/// The cache of a request's tenant, as [`TenantLayer`](crate::TenantLayer) leaves it in the extensions.
///
/// With feature `axum` an extractor: a handler that takes one is a tenant's, and makes the same calls as in a service
/// without tenants.
#[cfg_attr(feature = "axum", doc = include_str!("axum.md"))]
pub struct TenantCache<F>(pub Cache<F>);

impl<F> Deref for TenantCache<F> {
    type Target = Cache<F>;

    fn deref(&self) -> &Cache<F> {
        &self.0
    }
}

impl<F: Clone> Clone for TenantCache<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F> fmt::Debug for TenantCache<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantCache").field(&self.0).finish()
    }
}

/// Left in the extensions of requests that pass without a tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exempt;

/// Left in the extensions of requests that are nobody's, and read the keys that belong to nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared;

/// Why there is no cache in a request. The service's own mistake, not its client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoTenant {
    /// No [`TenantLayer`](crate::TenantLayer) of this format has seen the request.
    NoLayer,
    /// The request is [exempt](crate::ResolverBuilder::exempt).
    Exempt,
    /// The cache is of another tenant than the request: the layer of its format is outside of one that named another, or
    /// something has put a [`TenantId`] of its own into the extensions.
    Another,
}

impl fmt::Display for NoTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLayer => "no TenantLayer with a cache of this format is around the handler",
            Self::Exempt => "the request is exempt from having a tenant, and its handler wants one",
            Self::Another => "the cache of this format is of another tenant than the request",
        })
    }
}

impl std::error::Error for NoTenant {}

/// What [`TenantLayer`](crate::TenantLayer) has left in a request: for Hyper, tonic and middleware.
///
/// For [`Request`], its [`Parts`] and its [`Extensions`]; of a `tonic::Request`, ask its `extensions()`. See
/// [`TenantLayer`](crate::TenantLayer) for an example.
pub trait TenantRequest: sealed::Sealed {
    /// Returns the handle on the keys of the request's tenant.
    ///
    /// # Errors
    /// [`NoTenant`], if no layer has put it there, or it is not of the request's [`tenant`](Self::tenant).
    fn tenant_cache<F: Format>(&self) -> Result<&Cache<F>, NoTenant> {
        let extensions = self.own_extensions();
        let is_exempt = extensions.get::<Exempt>().is_some();
        let missing = if is_exempt { NoTenant::Exempt } else { NoTenant::NoLayer };
        let cache = extensions.get::<TenantCache<F>>().filter(|_| !is_exempt).ok_or(missing)?;
        // A layer outside, of another format, may have left it for another tenant.
        let (of, named) = (cache.0.space().tenant(), extensions.get().map(TenantId::as_str));
        let is_foreign = of != named && (named.is_some() || extensions.get::<Shared>().is_some());
        if is_foreign { Err(NoTenant::Another) } else { Ok(&cache.0) }
    }

    /// Returns the request's tenant; `None` for exempt and for shared ones.
    fn tenant(&self) -> Option<&TenantId> {
        self.own_extensions().get()
    }
}

mod sealed {
    use http::Extensions;

    #[allow(unnameable_types, reason = "it is sealed")]
    pub trait Sealed {
        fn own_extensions(&self) -> &Extensions;
    }
}

impl TenantRequest for Extensions {}
impl sealed::Sealed for Extensions {
    fn own_extensions(&self) -> &Extensions {
        self
    }
}

impl TenantRequest for Parts {}
impl sealed::Sealed for Parts {
    fn own_extensions(&self) -> &Extensions {
        &self.extensions
    }
}

impl<B> TenantRequest for Request<B> {}
impl<B> sealed::Sealed for Request<B> {
    fn own_extensions(&self) -> &Extensions {
        self.extensions()
    }
}
