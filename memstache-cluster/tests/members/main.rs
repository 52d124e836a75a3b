//! Members, placement and membership, as their users see them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod balance;
#[cfg(feature = "gossip")]
mod corpus;
mod fixed;
mod golden;
mod kit;
mod movement;
