//! Loading what is missing: once per key, under the store's lease.
//!
//! A caller first asks the store, which grants the lease on a missing key to one caller. That caller's loader runs in a
//! flight: a task of its own, which renews the lease, bounds the loader, fills under the lease and lands the value for
//! everybody who waits. Who is told that the key is busy joins the flight if it is this process's and recent enough,
//! and waits at the store if not. So nobody who asks after a removal can be answered from a load that began before.

mod ask;
mod batch;
mod builder;
mod context;
mod failures;
mod flight;
mod job;
mod loader;
mod look;
mod many;
pub mod shape;
mod single;
mod source;

pub use self::{
    builder::{LoadBuilder, LoadFuture},
    context::{IntoLoaded, LoadContext, Loaded},
    loader::{BatchLoader, Loader},
    many::LoadManyBuilder,
    shape::Shape,
};
pub(super) use self::{failures::Failures, flight::Landed, source::Source};
