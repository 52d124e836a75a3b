//! The recommended stack, as a builder that knows the order.

use std::{fmt, sync::Arc};

use tower_layer::{Identity, Layer};

#[cfg(feature = "resilience")]
use crate::resilience::{
    BreakerLayer, BulkheadLayer, LimitLayer, RateLimitLayer, Resilience, RetryLayer, TimeoutLayer,
};
#[cfg(feature = "near")]
use crate::{
    coherence::Coherence,
    near::{NearConfig, NearLayer, NearView},
};
use crate::{
    health::{Health, Parts},
    load_gate::LoadGate,
    service::{CacheService, ErasedService},
    transform::{Transform, TransformLayer, TransformPart},
};

/// Builds a stack over a leaf: layers are given in any order and end up in the right one.
///
/// From the caller down:
///
/// | place | what | why here |
/// | --- | --- | --- |
/// | observe | spans, latency | sees every request that goes through the stack, also those answered above the leaf |
/// | quota | operations of a tenant | before any work is done for it |
/// | near | first-level cache | a hit waits for nothing, opens nothing, is never shed |
/// | limit | concurrency, shedding | before CPU is spent on compressing and sealing |
/// | compress | a [`Transform`] | what is sealed does not compress |
/// | seal | a [`Transform`] | everything below sees ciphertext only |
/// | retry | repeats | does not repeat the work of the transforms |
/// | breaker | stops calling what fails | a retry sees at once that it is open; a hanging attempt counts |
/// | timeout | per attempt | innermost: each attempt has its own |
///
/// A near hit through the handle is answered before all of them, without a future or a box: it passes neither observe nor
/// quota, and is counted in [`CacheStats`](crate::CacheStats) and [`NearStats`](crate::NearStats).
///
/// A near cache needs a leaf that tells what changes in it ([`Coherence`](crate::Coherence)); over any other it does
/// not compile:
///
/// ```compile_fail
/// # use memstache_core::{NearConfig, Stack, StoreService};
/// # fn f(store: impl memstache_core::Store) {
/// Stack::over(StoreService::new(store)).near(NearConfig::new(1 << 20).unwrap());
/// # }
/// ```
///
/// A second call for the same place replaces the first; give several layers as one `tower::ServiceBuilder`. For another
/// order, use a `ServiceBuilder` with the same layers and [`ErasedService::new`], or [`ErasedService::with_try_hit`] with
/// the [`view`](crate::Near::view) of its near cache.
///
/// ```
/// use memstache_core::{Cache, Json, MemoryStore, NearConfig, Stack};
///
/// let store = MemoryStore::builder().max_bytes(32 << 20).build()?;
/// let stack = Stack::over(store)
///     .near(NearConfig::new(4 << 20)?)
///     .limit(tower::limit::ConcurrencyLimitLayer::new(512))
///     .build();
/// let cache = Cache::builder(stack).keyspace("users").format(Json).build()?;
/// # let _ = cache;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[must_use = "nothing is built before `build`"]
pub struct Stack<
    S,
    Near = NoNear,
    Observe = Identity,
    Quota = Identity,
    Limit = Identity,
    Compress = Identity,
    Seal = Identity,
    Retry = Identity,
    Timeout = Identity,
    Breaker = Identity,
> {
    leaf: S,
    near: Near,
    observe: Observe,
    quota: Quota,
    limit: Limit,
    compress: Compress,
    seal: Seal,
    retry: Retry,
    timeout: Timeout,
    breaker: Breaker,
    parts: Parts,
    gate: Option<Arc<dyn LoadGate>>,
}

/// The place of the near cache in a stack that has none.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NoNear;

impl<S: CacheService> Stack<S> {
    /// Starts a stack over its leaf.
    pub fn over(leaf: S) -> Self {
        let none = Identity::new;
        Self {
            leaf,
            near: NoNear,
            observe: none(),
            quota: none(),
            limit: none(),
            compress: none(),
            seal: none(),
            retry: none(),
            timeout: none(),
            breaker: none(),
            parts: Parts::default(),
            gate: None,
        }
    }
}

/// Fills one place and keeps the others.
macro_rules! place {
    ($self:ident, $place:ident: $value:expr; $($other:ident)*) => {
        Stack { $place: $value, $($other: $self.$other,)* parts: $self.parts, gate: $self.gate }
    };
}

impl<S, N, O, Q, M, C, E, R, T, B> Stack<S, N, O, Q, M, C, E, R, T, B> {
    /// Has a part be asked how it is: a breaker, a queue, whatever a layer or the leaf consists of.
    ///
    /// Near caches and transforms are watched without a word.
    pub fn watch(mut self, part: impl Health) -> Self {
        self.parts.push(part);
        self
    }

    /// Has the leaf be asked how it is.
    pub fn watch_leaf(self) -> Self
    where
        S: Health + Clone,
    {
        let leaf = self.leaf.clone();
        self.watch(leaf)
    }

    /// Sets the outermost layer: spans and latency.
    pub fn observe<L>(self, layer: L) -> Stack<S, N, L, Q, M, C, E, R, T, B> {
        place!(self, observe: layer; leaf near quota limit compress seal retry timeout breaker)
    }

    /// Sets the layer that meters tenants.
    pub fn quota<L>(self, layer: L) -> Stack<S, N, O, L, M, C, E, R, T, B> {
        place!(self, quota: layer; leaf near observe limit compress seal retry timeout breaker)
    }

    /// Puts a gate between the loads of all handles on this stack and their data sources; a second one takes its place.
    ///
    /// The quotas of memstache-tenancy bring one.
    pub fn gate_loads(mut self, gate: impl LoadGate) -> Self {
        self.gate = Some(Arc::new(gate));
        self
    }

    /// Sets the layer that limits or sheds what goes below the near cache.
    pub fn limit<L>(self, layer: L) -> Stack<S, N, O, Q, L, C, E, R, T, B> {
        place!(self, limit: layer; leaf near observe quota compress seal retry timeout breaker)
    }

    /// Sets the transform that compresses.
    pub fn compress<L: Transform>(self, transform: L) -> Stack<S, N, O, Q, M, TransformLayer<L>, E, R, T, B> {
        let watched = self.watch_transform(&transform);
        place!(watched, compress: TransformLayer::new(transform);
            leaf near observe quota limit seal retry timeout breaker)
    }

    /// Sets the transform that seals.
    pub fn seal<L: Transform>(self, transform: L) -> Stack<S, N, O, Q, M, C, TransformLayer<L>, R, T, B> {
        let watched = self.watch_transform(&transform);
        place!(watched, seal: TransformLayer::new(transform);
            leaf near observe quota limit compress retry timeout breaker)
    }

    fn watch_transform<L: Transform>(mut self, transform: &L) -> Self {
        if transform.health().is_some() {
            self.parts.push(TransformPart(transform.clone()));
        }
        self
    }

    /// Sets the layer that repeats what is retryable.
    pub fn retry<L>(self, layer: L) -> Stack<S, N, O, Q, M, C, E, L, T, B> {
        place!(self, retry: layer; leaf near observe quota limit compress seal timeout breaker)
    }

    /// Sets the layer that stops calling a leaf which fails.
    pub fn breaker<L>(self, layer: L) -> Stack<S, N, O, Q, M, C, E, R, T, L> {
        place!(self, breaker: layer; leaf near observe quota limit compress seal retry timeout)
    }

    /// Sets the layer that bounds each attempt.
    pub fn timeout<L>(self, layer: L) -> Stack<S, N, O, Q, M, C, E, R, L, B> {
        place!(self, timeout: layer; leaf near observe quota limit compress seal retry breaker)
    }
}

#[cfg(feature = "resilience")]
impl<S, N, O, Q, M, C, E, R, T, B> Stack<S, N, O, Q, M, C, E, R, T, B> {
    /// Sets everything that keeps a stack from hanging: limits, retries, the breaker and the timeout of attempts.
    ///
    /// `&Resilience::default()` is what most stacks want. Replaces what was set for limit, retry, breaker and timeout.
    /// Its breaker and its limits are asked how they are.
    ///
    /// ```
    /// use memstache_core::{MemoryStore, Stack, resilience::Resilience};
    ///
    /// let store = MemoryStore::builder().build()?;
    /// let stack = Stack::over(store).resilient(&Resilience::default()).build();
    /// # let _ = stack;
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn resilient(
        self,
        resilience: &Resilience,
    ) -> Stack<S, N, O, Q, Limits, C, E, RetryLayer, TimeoutLayer, BreakerLayer> {
        let Resilience { limit, bulkhead, rate, retry, breaker, timeout } = resilience.clone();
        let limits = Limits::new(tower_layer::Stack::new(bulkhead, rate), limit);
        let watched = match resilience.breaker() {
            Some(breaker) => self.watch(breaker.clone()),
            None => self,
        };
        watched.watch(resilience.clone()).limit(limits).retry(retry).breaker(breaker).timeout(timeout)
    }
}

/// The limits of a resilient stack: of calls above the rate above the bytes.
#[cfg(feature = "resilience")]
pub type Limits = tower_layer::Stack<tower_layer::Stack<BulkheadLayer, RateLimitLayer>, LimitLayer>;

#[cfg(feature = "near")]
impl<S, O, Q, M, C, E, R, T, B> Stack<S, NoNear, O, Q, M, C, E, R, T, B>
where
    S: Coherence + Clone + Send + Sync + 'static,
{
    /// Puts a near cache in front; the leaf tells it what changes.
    ///
    /// What is written through this stack is seen at once. What another stack over the same store writes is heard of a
    /// moment after the write returned; [`Read::authority`](crate::Read::authority) reads pass the near cache by.
    pub fn near(self, config: NearConfig) -> Stack<S, NearLayer, O, Q, M, C, E, R, T, B> {
        let leaf = self.leaf.clone();
        place!(self, near: NearLayer::new(config, leaf); leaf observe quota limit compress seal retry timeout breaker)
    }
}

impl<S, O, Q, M, C, E, R, T, B> Stack<S, NoNear, O, Q, M, C, E, R, T, B>
where
    T: Layer<S>,
    B: Layer<T::Service>,
    R: Layer<B::Service>,
    E: Layer<R::Service>,
    C: Layer<E::Service>,
    M: Layer<C::Service>,
    Q: Layer<M::Service>,
    O: Layer<Q::Service>,
    O::Service: CacheService,
{
    /// Puts the layers together and erases their type.
    pub fn build(self) -> ErasedService {
        let (parts, gate) = (self.parts.clone(), self.gate.clone());
        ErasedService::new(self.into_service()).with_parts(parts).gated(gate)
    }

    /// Puts the layers together; the service keeps its type.
    pub fn into_service(self) -> O::Service {
        let attempt = self.retry.layer(self.breaker.layer(self.timeout.layer(self.leaf)));
        let stored = self.compress.layer(self.seal.layer(attempt));
        self.observe.layer(self.quota.layer(self.limit.layer(stored)))
    }
}

#[cfg(feature = "near")]
impl<S, O, Q, M, C, E, R, T, B> Stack<S, NearLayer, O, Q, M, C, E, R, T, B>
where
    T: Layer<S>,
    B: Layer<T::Service>,
    R: Layer<B::Service>,
    E: Layer<R::Service>,
    C: Layer<E::Service>,
    M: Layer<C::Service>,
    M::Service: CacheService,
    Q: Layer<crate::near::Near<M::Service>>,
    O: Layer<Q::Service>,
    O::Service: CacheService,
{
    /// Puts the layers together and erases their type; near hits are answered without going through the service.
    pub fn build(self) -> ErasedService {
        self.build_with_view().0
    }

    /// Like [`build`](Self::build), with a view of the near cache: for its statistics.
    pub fn build_with_view(self) -> (ErasedService, NearView) {
        let attempt = self.retry.layer(self.breaker.layer(self.timeout.layer(self.leaf)));
        let stored = self.compress.layer(self.seal.layer(attempt));
        let near = self.near.layer(self.limit.layer(stored));
        let (view, mut parts) = (near.view(), Parts::default());
        parts.push(view.clone());
        parts.append(self.parts);
        let service = ErasedService::with_try_hit(self.observe.layer(self.quota.layer(near)), view.clone());
        (service.with_parts(parts).gated(self.gate), view)
    }
}

impl<S, N, O, Q, M, C, E, R, T, B> fmt::Debug for Stack<S, N, O, Q, M, C, E, R, T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}
