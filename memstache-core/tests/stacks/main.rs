//! Whole stacks: the conformance suite over every store, and over stores that break a rule, and the order rules.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "config")]
mod config;
#[cfg(feature = "config")]
mod configured;
mod conformance;
mod naive;
mod order;
