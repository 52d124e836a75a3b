//! The sealing layer, alone and in stacks.

#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;
mod contents;
#[allow(dead_code, reason = "used by the tests that follow")]
mod kit;
mod policy;
mod stack;
mod tampering;
mod waiting;
