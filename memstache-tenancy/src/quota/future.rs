use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use memstache_core::{Address, CacheService, Error, Lookup, OneOrMany, Request, Response, Result, TenantId, Written};
use pin_project_lite::pin_project;
use tower::util::Oneshot;

use crate::tenants::{Tenants, is_full};

/// How long an entry lives in a remote store that was given no end.
const DAY: Duration = Duration::from_secs(24 * 3600);

pin_project! {
    /// The response of a [`Quota`](super::Quota) service.
    ///
    /// # Cancellation
    /// Dropping it drops the call below. Its operations stay counted; what it may have written is not in the estimate.
    pub struct QuotaFuture<S: CacheService> {
        #[pin]
        call: Option<Oneshot<S, Request>>,
        refused: Option<Error>,
        after: After,
    }
}

impl<S: CacheService> QuotaFuture<S> {
    pub(super) fn calling(service: S, request: Request, after: After) -> Self {
        Self { call: Some(Oneshot::new(service, request)), refused: None, after }
    }

    pub(super) const fn refused(error: Error) -> Self {
        Self { call: None, refused: Some(error), after: After::Nothing }
    }
}

impl<S: CacheService> Future for QuotaFuture<S> {
    type Output = Result<Response>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response>> {
        let this = self.project();
        let Some(call) = this.call.as_pin_mut() else {
            return Poll::Ready(Err(this.refused.take().expect("polled after completion")));
        };
        let result = ready!(call.poll(cx)).map_err(Into::into);
        Poll::Ready(std::mem::replace(this.after, After::Nothing).answered(result))
    }
}

impl<S: CacheService> fmt::Debug for QuotaFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaFuture").finish_non_exhaustive()
    }
}

/// What is to be done with an answer.
pub(super) enum After {
    Nothing,
    /// What was not there is refused, by each item's tenant.
    Nearest {
        tenants: Tenants,
        asked: OneOrMany<Address>,
        /// Whether the caller takes nothing that is in its grace.
        fresh_only: bool,
        error: Error,
    },
    /// Who had no room is counted, and what was stored is taken note of.
    Wrote {
        tenants: Tenants,
        items: OneOrMany<Wrote>,
        estimates: bool,
    },
    /// What was removed is taken note of.
    Removed {
        tenants: Tenants,
        items: OneOrMany<Address>,
    },
    /// Which tenants were cleared is taken note of.
    Cleared {
        tenants: Tenants,
        items: OneOrMany<Option<TenantId>>,
    },
}

/// An entry on its way into the store.
pub(super) struct Wrote {
    pub(super) address: Address,
    pub(super) bytes: u64,
    /// `None`: it has no end.
    pub(super) ttl: Option<Duration>,
}

impl After {
    fn answered(self, result: Result<Response>) -> Result<Response> {
        match (self, result) {
            (Self::Nearest { tenants, asked, fresh_only, error }, Ok(Response::Found(items))) => {
                let judged = items.into_iter().zip(asked).map(|(item, address)| {
                    let item = item.and_then(|found| match found {
                        Lookup::Hit(_) | Lookup::Negative(_) => Ok(found),
                        Lookup::Stale(..) if !fresh_only => Ok(found),
                        _ => Err(error.clone()),
                    });
                    tenants.count_over(address.tenant(), u64::from(item.is_ok()), u64::from(item.is_err()));
                    item
                });
                Ok(Response::Found(judged.collect()))
            }
            (Self::Wrote { tenants, items, estimates }, Ok(Response::Stored(stored))) => {
                let told = stored.into_iter().zip(items.iter()).map(|(stored, item)| match stored {
                    Ok(written) => {
                        item.became(&tenants, &written, estimates);
                        Ok(written)
                    }
                    Err(error) => Err(item.failed(&tenants, error)),
                });
                Ok(Response::Stored(told.collect()))
            }
            (Self::Wrote { tenants, items, .. }, Err(error)) => {
                Err(items.iter().fold(error, |error, item| item.failed(&tenants, error)))
            }
            (Self::Removed { tenants, items }, Ok(Response::Removed(removed))) => {
                let gone = removed.iter().zip(items).filter(|(removed, _)| matches!(removed, Ok(true)));
                gone.for_each(|(_, address)| {
                    tenants.estimate(address.tenant(), |estimate, now| estimate.removed(now, 1));
                });
                Ok(Response::Removed(removed))
            }
            (Self::Cleared { tenants, items }, Ok(Response::Invalidated(done))) => {
                let cleared = done.iter().zip(items).filter(|(done, _)| done.is_ok()).filter_map(|(_, tenant)| tenant);
                cleared.for_each(|tenant| {
                    tenants.estimate(Some(tenant.as_str()), |estimate, now| estimate.cleared(now));
                });
                Ok(Response::Invalidated(done))
            }
            (_, result) => result,
        }
    }
}

impl Wrote {
    fn became(&self, tenants: &Tenants, written: &Written, estimates: bool) {
        if matches!(written, Written::Stored(_)) {
            tenants.wrote(self.address.tenant(), self.ttl);
            if estimates {
                let ttl = self.ttl.unwrap_or(DAY);
                tenants.estimate(self.address.tenant(), |estimate, now| estimate.wrote(now, self.bytes, ttl));
            }
        }
    }

    /// Counts who had no room, and says when there should be some.
    fn failed(&self, tenants: &Tenants, error: Error) -> Error {
        let tenant = self.address.tenant();
        if !is_full(&error) {
            return error;
        }
        tenants.count_full(tenant, 1);
        tenants.room_within(tenant).into_iter().fold(error, Error::with_retry_after)
    }
}
