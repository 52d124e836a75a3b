//! What a place to keep bytes must do.

mod service;

use std::future::Future;

pub use self::service::StoreService;
use crate::{
    error::Result,
    health::PartHealth,
    request::{
        Explain, Explained, Found, Get, Invalidate, Invalidated, Reason, Remove, Removed, Set, Stored, TierReport,
        Touch, TouchItem, TouchKind, Touched,
    },
};

/// A place to keep bytes; implement it with plain `async fn`.
///
/// Every method answers item by item, in the order asked, and is `Err` as a whole only when nothing was attempted. All
/// rules that a store must keep are in the conformance suite (`testing::conformance`, feature `test-util`):
///
/// - `get` never answers an expired, removed or invalidated entry. A missing key is leased to one caller at a time when
///   leases are asked for; a stale one is answered with a lease to one caller and without to the others.
/// - A fresh entry is answered as [`Lookup::fresh`](crate::Lookup::fresh) says: a negative record that is sealed comes
///   with its bytes.
/// - A store that is its own authority sets `meta.confirmed_at` to
///   [`expiry::confirmed_by_authority`](crate::expiry::confirmed_by_authority), and then judges by
///   [`expiry::freshness`](crate::expiry::freshness) with the scope's `max_staleness`; a hit extends a sliding entry by
///   [`expiry::extended`](crate::expiry::extended).
/// - A lease lives for its `ttl` after it was granted or last renewed. `set` and `remove` of its key end it. A clear of
///   its space or tenant supersedes it: the next caller is granted a new one.
/// - `set` under [`When::IfLease`](crate::When::IfLease) is refused once the lease ended; repeated after it succeeded, it
///   is answered with the same version for as long as that is the key's value. The entry is stored with the sequence that the lease captured.
/// - `invalidate` is O(1): it raises the space's (or the tenant's) sequence, and readers drop entries with an older one.
///
/// ```
/// use memstache_core::{Error, ErrorKind, Found, Get, Invalidate, Invalidated, Lookup, Remove, Removed, Result, Set,
///     Store, Stored, Touch, Touched};
///
/// /// Keeps nothing.
/// #[derive(Debug)]
/// struct Hole;
///
/// impl Store for Hole {
///     async fn get(&self, op: Get) -> Result<Found> {
///         Ok(op.items.map(|_| Ok(Lookup::Miss)))
///     }
///     async fn set(&self, op: Set) -> Result<Stored> {
///         Ok(op.items.map(|_| Err(Error::new(ErrorKind::TooLarge, "nothing fits"))))
///     }
///     async fn remove(&self, op: Remove) -> Result<Removed> {
///         Ok(op.items.map(|_| Ok(false)))
///     }
///     async fn touch(&self, op: Touch) -> Result<Touched> {
///         Ok(op.items.map(|_| Ok(false)))
///     }
///     async fn invalidate(&self, op: Invalidate) -> Result<Invalidated> {
///         Ok(op.items.map(|_| Err(Error::new(ErrorKind::Unsupported, "nothing to invalidate"))))
///     }
/// }
/// ```
pub trait Store: Send + Sync + 'static {
    /// Reads entries, and grants leases on missing ones.
    fn get(&self, op: Get) -> impl Future<Output = Result<Found>> + Send;

    /// Writes entries.
    fn set(&self, op: Set) -> impl Future<Output = Result<Stored>> + Send;

    /// Removes entries.
    fn remove(&self, op: Remove) -> impl Future<Output = Result<Removed>> + Send;

    /// Looks at, prolongs or ends entries and leases.
    fn touch(&self, op: Touch) -> impl Future<Output = Result<Touched>> + Send;

    /// Invalidates tags, spaces or tenants.
    fn invalidate(&self, op: Invalidate) -> impl Future<Output = Result<Invalidated>> + Send;

    /// Says what is held of keys and why it would not be answered, changing nothing.
    ///
    /// Default: what a [`Probe`](TouchKind::Probe) can tell, under the name `store`: live, or
    /// [`NotHeld`](Reason::NotHeld).
    fn explain(&self, op: Explain) -> impl Future<Output = Result<Explained>> + Send {
        async move {
            let items = op.items.map(|address| TouchItem { address, kind: TouchKind::Probe });
            let live = self.touch(Touch { items, scope: op.scope }).await?;
            Ok(live.map(|live| live.map(|live| vec![probed("store", live)])))
        }
    }

    /// Says how the store is, if it knows. Default: it does not.
    fn health(&self) -> Option<PartHealth> {
        None
    }
}

/// What a probe tells.
pub(crate) fn probed(tier: &'static str, live: bool) -> TierReport {
    if live { TierReport::live(tier) } else { TierReport::absent(tier, Reason::NotHeld) }
}
