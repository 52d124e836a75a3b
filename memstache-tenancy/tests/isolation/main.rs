//! What one tenant can learn of another, and do to it, through one stack: nothing.
//!
//! The table of operations is the whole API of a handle; memstache-redis runs it over servers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod closed;
mod degraded;
mod explain;
mod flights;
mod kit;
mod names;
mod operations;
mod owned;
mod shred;
mod stacks;
mod swapped;
mod traces;
