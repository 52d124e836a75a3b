//! The key hierarchy: made, shared, rotated, taken away.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod hierarchy;
mod hostile;
mod kit;
#[path = "../seal/log.rs"]
mod log;
mod lost;
mod outage;
mod processes;
mod providers;
mod races;
mod rotation;
mod secrets;
mod shredding;
mod stack;
mod swapped;
mod vaults;
