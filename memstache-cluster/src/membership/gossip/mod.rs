//! Membership by gossip: SWIM with suspicion (Das et al. 2002), by the crate foca.
//!
//! `machine` is the protocol without sockets, tasks and clocks; `driver` gives it those; `wire` says what is written, and
//! `seal` keeps it from others; `parameters` has all the numbers.

mod builder;
mod driver;
#[cfg(any(test, fuzzing, feature = "test-util"))]
pub mod fuzzing;
mod handle;
mod machine;
mod parameters;
mod registration;
mod seal;
mod secret;
#[cfg(any(test, feature = "test-util"))]
pub mod simulation;
mod stats;
#[cfg(test)]
mod tests;
mod wire;

pub use self::{builder::GossipBuilder, handle::Gossip, secret::GossipSecret, stats::GossipStats};
