//! What memstache accepts as a stack, and the one place where its type is erased.

mod erased;

use std::{
    any::{Any, TypeId},
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use self::erased::{Dispatch, Reused};

use crate::{
    address::{self, Address},
    clock::{BoxFuture, Tick},
    entry::{Content, Entry, FormatId, Meta, NewEntry, Schema},
    error::{Error, Result},
    health::{Health, HealthReport, Parts},
    load_gate::LoadGate,
    request::{LeaseId, Request, Response, Scope, TierReport},
};

/// Every stack that memstache accepts: an alias for a tower service with a blanket impl, never implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no stack of memstache",
    note = "a `Store` becomes a leaf by `StoreService::new(store)`",
    note = "a stack is a `tower::Service<Request>` that is `Clone + Send + Sync + 'static`, whose response is memstache's \
            and whose error turns into memstache's"
)]
pub trait CacheService:
    Service<Request, Response = Response, Error: Into<Error> + Send, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> CacheService for S where
    S: Service<Request, Response = Response, Error: Into<Error> + Send, Future: Send> + Clone + Send + Sync + 'static
{
}

/// Readies a clone and calls it.
#[cfg(any(feature = "near", feature = "resilience", feature = "test-util", test))]
pub(crate) async fn oneshot<S: CacheService>(mut service: S, request: Request) -> Result<Response> {
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    service.call(request).await.map_err(Into::into)
}

/// A tier that can answer a hit at once: no future, no box, no allocation.
pub trait TryHit: Send + Sync + 'static {
    /// Returns the fresh, verified entry that a request would be answered with, if it is held here.
    ///
    /// Counts as a read: recency and sliding windows move. Never answers an `Authority` read. `now` may be an
    /// [upper bound](crate::Clock::upper_bound): what is fresh only before it is left to the stack.
    fn try_hit(&self, parts: &address::Parts<'_>, scope: &Scope, now: Tick) -> Option<Entry>;

    /// Returns what was decoded before from the entry that [`try_hit`](Self::try_hit) would return, if it is what is wanted.
    ///
    /// What is known of the entry goes to `told`, where that is asked for. Counts as a read if there is an answer.
    /// Default: nothing decoded is kept.
    fn try_decoded(
        &self,
        parts: &address::Parts<'_>,
        scope: &Scope,
        now: Tick,
        wanted: &DecodedAs,
        told: Option<&mut Option<Meta>>,
    ) -> Option<Arc<dyn Any + Send + Sync>> {
        let _ = (parts, scope, now, wanted, told);
        None
    }

    /// Returns whether a copy was served in place of an answer that may have granted this lease, and forgets it: the one
    /// who asks is to release it. Default: no.
    fn take_lost(&self, lease: LeaseId) -> bool {
        let _ = lease;
        false
    }

    /// Returns what is known of a key now, for [`keep_unverified`](Self::keep_unverified). Default: nothing.
    fn as_of(&self, address: &Address) -> Option<AsOf> {
        let _ = address;
        None
    }

    /// Keeps a value that the store is not there to take, unless the key was changed or invalidated since `as_of`; returns
    /// whether it is kept.
    ///
    /// It is served only while the store cannot be asked, as stale. Default: it is not kept.
    fn keep_unverified(&self, address: &Address, entry: NewEntry, as_of: AsOf) -> bool {
        let _ = (address, entry, as_of);
        false
    }

    /// Keeps what was decoded from an entry that was answered here, for as long as that very entry is held.
    ///
    /// `weight` is what the value takes, in bytes. Default: it is not kept.
    fn keep_decoded(
        &self,
        parts: &address::Parts<'_>,
        entry: &Entry,
        value: Arc<dyn Any + Send + Sync>,
        weight: usize,
    ) {
        let _ = (parts, entry, value, weight);
    }

    /// Says what is held here of a key and why it would not be answered, changing nothing.
    ///
    /// Default: nothing is said.
    fn explain(&self, parts: &address::Parts<'_>, scope: &Scope, now: Tick) -> Option<TierReport> {
        let _ = (parts, scope, now);
        None
    }
}

/// What a near tier knew of a key at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsOf {
    pub(crate) lane: usize,
    pub(crate) changes: u64,
    pub(crate) flushes: u64,
    pub(crate) sequence: u64,
}

impl AsOf {
    /// What is known if nothing has happened since but one write of one's own, which was sent through the near tier.
    #[must_use]
    pub fn after_own_write(self) -> Self {
        Self { changes: self.changes.wrapping_add(1), ..self }
    }
}

/// What a decoded value must be to answer a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodedAs {
    /// The type.
    pub type_id: TypeId,
    /// The format that it was decoded by.
    pub format: FormatId,
    /// The schema under which it was stored.
    pub schema: Option<Schema>,
}

impl DecodedAs {
    /// Creates what a value of a type must be.
    pub const fn new(type_id: TypeId, format: FormatId, schema: Option<Schema>) -> Self {
        Self { type_id, format, schema }
    }

    /// Returns whether an entry of this content would be decoded in the same way.
    pub fn is_of(&self, content: &Content) -> bool {
        content.format == self.format && content.schema == self.schema
    }
}

/// A whole stack behind `&self`: the only type erasure, made once, at the handle.
///
/// Cloning costs one or two reference counts. Readiness is awaited inside the call, so that no copy which waits for its next
/// call holds a permit.
#[derive(Clone)]
pub struct ErasedService {
    erased: Arc<Erased<dyn Dispatch>>,
    /// What is asked for its health, if anything is.
    parts: Option<Arc<Parts>>,
    /// What stands between loads and their sources, if anything does.
    gate: Option<Arc<dyn LoadGate>>,
}

struct Erased<S: ?Sized> {
    /// Apart from the stack, so that a hit is one call and not two.
    near: Option<Box<dyn TryHit>>,
    /// The same, if it is what it mostly is: a hit on a decoded value is no call at all then.
    #[cfg(feature = "near")]
    view: Option<crate::NearView>,
    service: S,
}

impl ErasedService {
    /// Erases a stack.
    pub fn new(service: impl CacheService) -> Self {
        Self::over(Erased {
            near: None,
            #[cfg(feature = "near")]
            view: None,
            service: Reused::new(service),
        })
    }

    fn over(erased: Erased<impl Dispatch + 'static>) -> Self {
        Self { erased: Arc::new(erased), parts: None, gate: None }
    }

    /// Erases a stack that contains `near`, whose hits are answered without going through the stack: no layer sees them.
    pub fn with_try_hit(service: impl CacheService, near: impl TryHit) -> Self {
        Self::over(Erased {
            #[cfg(feature = "near")]
            view: (&near as &dyn Any).downcast_ref::<crate::NearView>().cloned(),
            near: Some(Box::new(near)),
            service: Reused::new(service),
        })
    }

    /// Sends a request through the stack. One allocation of its own; nothing is done before the future is polled.
    ///
    /// # Cancellation
    /// Dropping the future drops the request wherever it is; a write may or may not have happened.
    pub fn dispatch(&self, request: impl Into<Request>) -> BoxFuture<'static, Result<Response>> {
        self.erased.service.dispatch(request.into())
    }

    /// Returns what the near tier would answer a read with, if there is one and it holds a fresh entry.
    pub fn try_hit(&self, parts: &address::Parts<'_>, scope: &Scope, now: Tick) -> Option<Entry> {
        self.near()?.try_hit(parts, scope, now)
    }

    /// Returns the near tier, if there is one.
    #[inline]
    pub fn near(&self) -> Option<&dyn TryHit> {
        self.erased.near.as_deref()
    }

    /// Returns the near tier, if it is the one of this crate.
    #[cfg(feature = "near")]
    #[inline]
    pub(crate) fn near_view(&self) -> Option<&crate::NearView> {
        self.erased.view.as_ref()
    }

    /// Has a part of the stack be asked how it is; [`Stack`](crate::Stack) does so for the parts that it knows.
    #[must_use]
    pub fn watch(mut self, part: impl Health) -> Self {
        Arc::make_mut(self.parts.get_or_insert_default()).push(part);
        self
    }

    /// Puts a gate between the loads of all handles on this stack and their sources; [`Stack`](crate::Stack::gate_loads)
    /// and configurations do so.
    #[must_use]
    pub fn with_load_gate(self, gate: impl LoadGate) -> Self {
        self.gated(Some(Arc::new(gate)))
    }

    pub(crate) fn gated(self, gate: Option<Arc<dyn LoadGate>>) -> Self {
        Self { gate, ..self }
    }

    pub(crate) fn load_gate(&self) -> Option<&dyn LoadGate> {
        self.gate.as_deref()
    }

    pub(crate) fn with_parts(self, parts: Parts) -> Self {
        Self { parts: Some(Arc::new(parts)), ..self }
    }

    /// Asks all parts that are watched how they are.
    pub fn health(&self) -> HealthReport {
        self.parts.iter().flat_map(|parts| parts.ask()).collect()
    }
}

impl fmt::Debug for ErasedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedService").finish_non_exhaustive()
    }
}

impl Service<Request> for ErasedService {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.dispatch(request)
    }
}
