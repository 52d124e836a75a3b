use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use memstache_core::{CacheService, Consistency, Error, NewEntry, OnMiss, Request, Response, Result, SetItem, Target};
use tower_service::Service;

use super::{
    QuotaFuture, QuotaLayer, cost,
    future::{After, Wrote},
};
use crate::tenants::Over;

/// What a remote store needs for an entry beside key and value, about.
const OVERHEAD: u64 = 96;

/// A stack whose tenants are metered; made by [`QuotaLayer`].
pub struct Quota<S> {
    inner: S,
    layer: QuotaLayer,
}

impl<S> Quota<S> {
    pub(super) const fn new(inner: S, layer: QuotaLayer) -> Self {
        Self { inner, layer }
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: CacheService> Service<Request> for Quota<S> {
    type Response = Response;
    type Error = Error;
    type Future = QuotaFuture<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        // Who is refused needs nothing from below.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> QuotaFuture<S> {
        match self.judge(&mut request) {
            Ok(after) => QuotaFuture::calling(self.inner.clone(), request, after),
            Err(error) => QuotaFuture::refused(error),
        }
    }
}

impl<S> Quota<S> {
    /// Lets a request through, perhaps changed, and says what is to be done with its answer; or refuses it.
    fn judge(&self, request: &mut Request) -> Result<After> {
        let tenants = &self.layer.tenants;
        if let Err(over) = cost::each(request, |tenant, count| tenants.operate(tenant, count)) {
            return self.over(request, over);
        }
        let Request::Set(set) = request else {
            return Ok(if self.layer.estimates { self.estimated(request) } else { After::Nothing });
        };
        if self.layer.estimates {
            self.check_room(set.items.as_slice())?;
        }
        let wrote = |item: &SetItem| {
            let (bytes, ttl) = size(item.address.stored().len(), &item.entry);
            Wrote { address: item.address.clone(), bytes, ttl }
        };
        Ok(After::Wrote { tenants: tenants.clone(), items: set.items.map_ref(wrote), estimates: self.layer.estimates })
    }

    /// Decides about a request of a tenant that has had as many operations as it may.
    fn over(&self, request: &mut Request, over: Over) -> Result<After> {
        let tenants = &self.layer.tenants;
        match request {
            Request::Get(get) if over.serves_stale && get.scope.consistency != Consistency::Authority => {
                (get.on_miss, get.scope.consistency) = (OnMiss::Report, Consistency::Nearest);
                let asked = get.items.map_ref(|item| item.address.clone());
                let (tenants, fresh_only) = (tenants.clone(), get.scope.fresh_only);
                Ok(After::Nearest { tenants, asked, fresh_only, error: over.error })
            }
            _ => {
                request.tenants().for_each(|tenant| tenants.count_over(tenant, 0, 1));
                Err(over.error)
            }
        }
    }

    /// Refuses entries that a tenant is thought to have no room for.
    fn check_room(&self, items: &[SetItem]) -> Result<()> {
        let tenants = &self.layer.tenants;
        for of_one in items.chunk_by(|one, next| one.address.tenant() == next.address.tenant()) {
            let tenant = of_one[0].address.tenant();
            let bytes = of_one.iter().map(|item| size(item.address.stored().len(), &item.entry).0).sum();
            let checked = tenants.judge_estimate(tenant, bytes, of_one.len() as u64);
            checked.inspect_err(|_| tenants.count_full(tenant, of_one.len() as u64))?;
        }
        Ok(())
    }

    /// Says what an answer is to tell of what is held.
    fn estimated(&self, request: &Request) -> After {
        let tenants = self.layer.tenants.clone();
        match request {
            Request::Remove(op) => After::Removed { tenants, items: op.items.clone() },
            Request::Invalidate(op) => {
                let whole = |target: &Target| match target {
                    Target::Tenant(tenant) => Some(tenant.clone()),
                    _ => None,
                };
                After::Cleared { tenants, items: op.items.map_ref(whole) }
            }
            _ => After::Nothing,
        }
    }
}

/// What an entry is thought to take, and for how long.
fn size(key: usize, entry: &NewEntry) -> (u64, Option<Duration>) {
    let ttl = entry.lifetime.sliding().or_else(|| entry.lifetime.ttl());
    ((key + entry.value.len()) as u64 + OVERHEAD, ttl)
}

impl<S: Clone> Clone for Quota<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug> fmt::Debug for Quota<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("inner", &self.inner).finish_non_exhaustive()
    }
}
