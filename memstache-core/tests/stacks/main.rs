//! Whole stacks: the conformance suite over the memory store with and without a near cache, and the order rules.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod order;
