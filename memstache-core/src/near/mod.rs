//! A first-level cache in front of a stack.
//!
//! [`Near`] keeps copies of what passes it and answers fresh reads from them. It is always ready, so a hit never waits
//! for a permit of what is below; it asks below only on a miss. Copies keep the lifetime and the age of the original,
//! and go when the [`Coherence`](crate::Coherence) stream of the leaf says that the original changed: by key, tag, space
//! or tenant. While that stream is cut, copies are *unverified*: what is below is asked first, and only if it fails they
//! are served, as stale, within `max_staleness`. `Authority` reads pass by.
//!
//! Right: limits below, transforms below.
//!
//! ```text
//! near( limit( compress( seal( store ) ) ) )     a hit is never shed, opened or decompressed
//! ```
//!
//! Wrong: `limit( near( store ) )` sheds hits while the store is busy.

mod changes;
mod copies;
mod decoded;
mod degraded;
mod explain;
mod follow;
mod future;
mod kept;
mod layer;
mod service;
mod shard;
mod stored_key;
mod tickets;
mod view;

use std::{fmt, sync::Arc};

pub(crate) use self::{copies::Copies, kept::Looked};
pub use self::{degraded::OnDegraded, future::NearFuture, layer::NearLayer, service::Near};
use crate::{
    clock::{Clock, SystemClock},
    error::{Error, Result},
    memory::{AnyPolicy, PolicyKind},
};

/// Least bytes that a near cache may be given.
pub const MIN_NEAR_BYTES: usize = 64 * 1024;

/// How large a near cache is, and whose time it keeps.
///
/// ```
/// use memstache_core::{MemoryStore, NearConfig, Stack};
///
/// let store = MemoryStore::builder().max_bytes(64 << 20).build()?;
/// let stack = Stack::over(store).near(NearConfig::new(8 << 20)?).build();
/// # let _ = stack;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct NearConfig {
    pub(crate) max_bytes: usize,
    pub(crate) on_degraded: OnDegraded,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Arc<dyn Fn(usize) -> AnyPolicy + Send + Sync>,
}

impl NearConfig {
    /// Creates a near cache's settings: at most so many bytes of keys, values and overhead; at least 64 KiB.
    ///
    /// Values that are kept decoded count, with what they are [estimated](crate::Cache::get_arc) to take. A value that takes
    /// more than 1/64 of the bytes is not kept.
    pub fn new(max_bytes: usize) -> Result<Self> {
        if max_bytes < MIN_NEAR_BYTES {
            return Err(Error::invalid("near max_bytes", format_args!("at least {MIN_NEAR_BYTES}"), max_bytes));
        }
        let policy = |share| PolicyKind::TinyLfu.policy(share, fastrand::u64(..));
        let (clock, on_degraded) = (Arc::new(SystemClock::new()), OnDegraded::Error);
        Ok(Self { max_bytes, on_degraded, clock, policy: Arc::new(policy) })
    }

    /// Chooses how a plain write is answered while the store is out of reach. Default: by its error.
    ///
    /// ```
    /// use memstache_core::{NearConfig, OnDegraded};
    ///
    /// let config = NearConfig::new(8 << 20)?.with_on_degraded(OnDegraded::NearOnly);
    /// # let _ = config;
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_on_degraded(mut self, on_degraded: OnDegraded) -> Self {
        self.on_degraded = on_degraded;
        self
    }

    /// Chooses the clock; it must be the stack's. Default: the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Chooses the eviction policy: makes one for each shard, given the shard's share of the bytes. Default:
    /// [`TinyLfu`](crate::TinyLfu).
    ///
    /// ```
    /// use memstache_core::{NearConfig, PolicyKind};
    ///
    /// let near = NearConfig::new(8 << 20)?.with_policy(|share| PolicyKind::Sieve.policy(share, 0));
    /// # let _ = near;
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_policy(mut self, make: impl Fn(usize) -> AnyPolicy + Send + Sync + 'static) -> Self {
        self.policy = Arc::new(make);
        self
    }
}

impl fmt::Debug for NearConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearConfig").field("max_bytes", &self.max_bytes).finish_non_exhaustive()
    }
}

/// A view of a near cache inside a stack: what answers hits at once, and tells what is held.
///
/// Cheap to clone; it keeps the copies, not the stack.
#[derive(Clone)]
pub struct NearView(pub(crate) Arc<Copies>);

impl NearView {
    /// Returns what is held and was counted.
    pub fn stats(&self) -> NearStats {
        self.0.stats()
    }
}

impl fmt::Debug for NearView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearView").field("stats", &self.stats()).finish()
    }
}

/// What a near cache holds and has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearStats {
    /// Copies held.
    pub entries: usize,
    /// Bytes of keys, values and overhead, room for more entries included.
    pub bytes: usize,
    /// Reads answered here.
    pub hits: u64,
    /// Reads that were asked below.
    pub misses: u64,
    /// Copies dropped because the original changed.
    pub invalidated: u64,
    /// Copies not taken because the original changed while it was asked for.
    pub overtaken: u64,
    /// Values kept that the store was not there to take.
    pub kept_unverified: u64,
    /// Times that everything was dropped because changes were missed.
    pub flushes: u64,
    /// Whether the stream of changes is cut, so that copies are unverified.
    pub unverified: bool,
}

#[cfg(test)]
mod tests;
