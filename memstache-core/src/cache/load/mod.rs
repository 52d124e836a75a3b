//! Loading what is missing: once per key, under the store's lease.
//!
//! A caller first asks the store, which grants the lease on a missing key to one caller. That caller's loader runs in a
//! flight: a task of its own, which renews the lease, bounds the loader, fills under the lease and lands the value for
//! everybody who waits. Who is told that the key is busy joins the flight if it is this process's and recent enough,
//! and waits at the store if not. So nobody who asks after a removal can be answered from a load that began before.
//!
//! A lease that nobody holds any more would block its key for its ttl. So each is asked for under a name, and whatever
//! goes wrong on the way up, it is released by that name.

mod ask;
mod batch;
mod bound;
mod builder;
mod bundle;
mod context;
mod failures;
mod flight;
mod job;
mod loader;
mod look;
mod many;
mod releases;
pub mod shape;
mod single;
mod source;

pub(crate) use self::bound::DEFAULT as DEFAULT_MAX_LOADS;
#[cfg(feature = "config")]
pub(crate) use self::bound::MOST as MOST_LOADS;
pub(super) use self::{bound::LoadBound, failures::Failures, flight::Landed, releases::Releases, source::Source};
pub use self::{
    builder::{LoadBuilder, LoadFuture},
    context::{IntoLoaded, LoadContext, Loaded},
    loader::{BatchLoader, Loader},
    many::LoadManyBuilder,
    shape::Shape,
};
