use memstache_core::CacheService;
use tower_layer::Layer;

use super::Quota;
use crate::tenants::Tenants;

/// Limits the operations of each tenant; made by [`Tenants::quota`].
///
/// Each key of a batch is an operation of the tenant that the key belongs to. A call is let through as a whole or not at
/// all; one for keys of several tenants is refused if one of them is over, and what the others took for it is lost to
/// them. Hits of a near cache through the handle are answered before it and cost nothing. Renewals, the release and the fill of
/// a load belong to the read that began it, and are never refused for the rate. An operation that this crate does not know
/// is [`Unsupported`](memstache_core::ErrorKind::Unsupported).
///
/// [`meter`](crate::MeterTenants::meter) puts it where it belongs. In a `tower::ServiceBuilder`:
///
/// ```text
/// right: observe, quota, near, limit, …    a near hit within the stack is metered, and nothing is done for who is over
/// wrong: near, quota, …                    what the near cache answers goes unmetered, and nothing can be served stale
/// wrong: limit, quota, …                   who is over holds permits of the others
/// ```
#[derive(Clone, Debug)]
pub struct QuotaLayer {
    pub(super) tenants: Tenants,
    pub(super) estimates: bool,
}

impl QuotaLayer {
    pub(crate) const fn new(tenants: Tenants) -> Self {
        Self { tenants, estimates: false }
    }

    /// Estimates what each tenant holds by what it writes, and limits bytes and entries by that: for stores that keep no
    /// account, such as Redis. Do not use it over a store whose accountant the registry is: everything would count twice.
    ///
    /// Values count as they come here, before they are compressed and sealed. The estimate fades as entries expire: with
    /// steady writing it is right after a few ttls, until then short by up to 37 %, and for three ttls after the last write it
    /// tells more than is there; a key that is overwritten counts twice for as long. [`Tenants::sample`] puts it right.
    /// Over the limit, writes are refused, whatever the plan says: such a store cannot evict a tenant's own.
    #[must_use]
    pub const fn estimating(mut self) -> Self {
        self.estimates = true;
        self
    }

    /// Returns the registry.
    pub const fn tenants(&self) -> &Tenants {
        &self.tenants
    }
}

impl<S: CacheService> Layer<S> for QuotaLayer {
    type Service = Quota<S>;

    fn layer(&self, inner: S) -> Quota<S> {
        Quota::new(inner, self.clone())
    }
}
