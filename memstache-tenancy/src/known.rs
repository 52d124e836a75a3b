//! Which tenants there are.

use std::{fmt, sync::Arc};

use memstache_core::TenantId;

/// Says whether a tenant is one of the service's own, and may use it.
///
/// Asked once for each request, on the way to the handler: it answers from memory and never waits. A name that it does not
/// know is refused, and nothing is kept of it: so a client that makes names up makes nothing grow.
///
/// Implemented for closures:
///
/// ```
/// use memstache_core::TenantId;
/// use memstache_tenancy::{AllTenants, KnownTenants};
///
/// let shops = |tenant: &TenantId| matches!(tenant.as_str(), "acme" | "umbrella");
/// assert!(shops.is_known(&TenantId::new("acme")?));
/// assert!(!shops.is_known(&TenantId::new("initech")?));
/// assert!(AllTenants.is_known(&TenantId::new("initech")?));
/// # Ok::<(), memstache_core::Error>(())
/// ```
pub trait KnownTenants: Send + Sync + 'static {
    /// Returns whether requests for this tenant are served.
    fn is_known(&self, tenant: &TenantId) -> bool;
}

/// Every name is a tenant.
///
/// Right behind a source that only names tenants that exist, such as a claim. Behind a header or a host, clients choose
/// names as they like.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllTenants;

impl KnownTenants for AllTenants {
    fn is_known(&self, _: &TenantId) -> bool {
        true
    }
}

impl<K: Fn(&TenantId) -> bool + Send + Sync + 'static> KnownTenants for K {
    fn is_known(&self, tenant: &TenantId) -> bool {
        self(tenant)
    }
}

impl<K: KnownTenants + ?Sized> KnownTenants for Arc<K> {
    fn is_known(&self, tenant: &TenantId) -> bool {
        (**self).is_known(tenant)
    }
}

impl fmt::Debug for dyn KnownTenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownTenants")
    }
}
