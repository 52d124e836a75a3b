//! Stacks that two tenants share, on a clock that is turned by hand.

use std::{sync::Arc, time::Duration};

use memstache_core::{
    Cache, CacheService, Coherence, ErasedService, Json, MemoryStore, NearConfig, Stack, TenantId, Tenanted,
    testing::{Faults, ManualClock, NaiveStore, Recorder, Sabotage},
};
use memstache_crypto::{BlindNames, FixedKeys, Seal, Secret};
use tokio::task::yield_now;

/// Which stack is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Naive,
    Memory,
    Near,
    Sealed,
    SealedNear,
    Blind,
    BlindSealedNear,
    /// Compressed, sealed, near, and metered by a plan without limits.
    #[cfg(feature = "quota")]
    Whole,
}

impl Kind {
    pub(crate) const ALL: &[Self] = &[
        Self::Naive,
        Self::Memory,
        Self::Near,
        Self::Sealed,
        Self::SealedNear,
        Self::Blind,
        Self::BlindSealedNear,
        #[cfg(feature = "quota")]
        Self::Whole,
    ];

    fn is_whole(self) -> bool {
        #[cfg(feature = "quota")]
        return self == Self::Whole;
        #[cfg(not(feature = "quota"))]
        false
    }

    pub(crate) fn is_near(self) -> bool {
        matches!(self, Self::Near | Self::SealedNear | Self::BlindSealedNear) || self.is_whole()
    }

    pub(crate) fn is_sealed(self) -> bool {
        matches!(self, Self::Sealed | Self::SealedNear | Self::BlindSealedNear) || self.is_whole()
    }

    fn is_blind(self) -> bool {
        matches!(self, Self::Blind | Self::BlindSealedNear)
    }
}

/// A stack with all that can be asked of it from outside.
pub(crate) struct Kit {
    pub(crate) kind: Kind,
    pub(crate) clock: ManualClock,
    /// What reaches the store, below near cache and seal.
    pub(crate) recorder: Recorder,
    pub(crate) faults: Faults,
    pub(crate) seal: Seal,
    leaf: Leaf,
    pub(crate) tenants: Cache<Json, Tenanted>,
}

enum Leaf {
    Naive(NaiveStore),
    Memory(MemoryStore),
}

impl Leaf {
    fn stack(&self, kind: Kind, clock: &ManualClock, log: &Recorder, faults: &Faults, seal: &Seal) -> ErasedService {
        match self {
            Self::Naive(store) => over(store.service(), kind, clock, log, faults, seal),
            Self::Memory(store) => over(store.clone(), kind, clock, log, faults, seal),
        }
    }
}

impl Kit {
    pub(crate) fn new(kind: Kind) -> Self {
        let clock = ManualClock::new();
        let leaf = match kind {
            Kind::Naive | Kind::Sealed => Leaf::Naive(NaiveStore::new(clock.clone())),
            _ => Leaf::Memory(MemoryStore::builder().max_bytes(8 << 20).clock(clock.clone()).build().unwrap()),
        };
        Self::over(kind, clock, leaf)
    }

    /// Over a store that breaks one of its rules.
    pub(crate) fn broken(sabotage: Sabotage) -> Self {
        let clock = ManualClock::new();
        let leaf = Leaf::Naive(NaiveStore::sabotaged(clock.clone(), sabotage));
        Self::over(Kind::Naive, clock, leaf)
    }

    fn over(kind: Kind, clock: ManualClock, leaf: Leaf) -> Self {
        let (recorder, faults) = (Recorder::new(), Faults::new());
        let seal = Seal::builder(keys()).clock(clock.clone()).build().unwrap();
        let stack = leaf.stack(kind, &clock, &recorder, &faults, &seal);
        let tenants = cache(stack, kind, &clock);
        Self { kind, clock, recorder, faults, seal, leaf, tenants }
    }

    /// A handle in another process: with a near cache of its own, over the same store.
    pub(crate) fn another(&self) -> Cache<Json, Tenanted> {
        let stack = self.leaf.stack(self.kind, &self.clock, &self.recorder, &self.faults, &self.seal);
        cache(stack, self.kind, &self.clock)
    }

    /// The store itself, as somebody sees it who has broken into it.
    pub(crate) fn bare(&self) -> ErasedService {
        match &self.leaf {
            Leaf::Naive(store) => ErasedService::new(store.service()),
            Leaf::Memory(store) => ErasedService::new(store.clone()),
        }
    }

    /// Lets time pass, with everybody running before and after.
    pub(crate) async fn pass(&self, span: Duration) {
        settle().await;
        self.clock.advance(span);
        settle().await;
    }
}

/// One secret for all, so that it is the place of a value, not its key, that keeps tenants apart.
pub(crate) fn keys() -> FixedKeys {
    FixedKeys::dangerous_one_for_all(Secret::from_bytes([7; 32]))
}

fn over<S>(leaf: S, kind: Kind, clock: &ManualClock, recorder: &Recorder, faults: &Faults, seal: &Seal) -> ErasedService
where
    S: CacheService + Coherence + Send + Sync + 'static,
{
    let stack = Stack::over(leaf).timeout(faults.clone()).retry(recorder.clone());
    let near = || NearConfig::new(1 << 20).unwrap().with_clock(clock.clone());
    #[cfg(feature = "quota")]
    if kind == Kind::Whole {
        use memstache_tenancy::{MeterTenants as _, Plans, Tenants};

        let plans = Plans::builder().build().unwrap();
        let quota = Tenants::builder(plans).clock(clock.clone()).build().unwrap().quota();
        let compress = memstache_codec::Compress::builder().algorithm("lz4").threshold(1).build().unwrap();
        return stack.seal(seal.clone()).compress(compress).near(near()).meter(quota).build();
    }
    match (kind.is_sealed(), kind.is_near()) {
        (false, false) => stack.build(),
        (false, true) => stack.near(near()).build(),
        (true, false) => stack.seal(seal.clone()).build(),
        (true, true) => stack.seal(seal.clone()).near(near()).build(),
    }
}

fn cache(stack: ErasedService, kind: Kind, clock: &ManualClock) -> Cache<Json, Tenanted> {
    let builder = Cache::builder(stack).keyspace("products").clock(Arc::new(clock.clone())).random(|| 0.5);
    let builder = if kind.is_blind() { builder.namer(BlindNames::new(keys())) } else { builder };
    builder.format(Json).build_tenanted().unwrap()
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Lets every task run until nothing moves.
pub(crate) async fn settle() {
    for _ in 0..64 {
        yield_now().await;
    }
}
