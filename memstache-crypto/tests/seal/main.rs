//! The sealing layer, alone and in stacks.

#![allow(clippy::unwrap_used, reason = "tests")]

mod auto_traits;
#[cfg(feature = "config")]
mod config;
mod conformance;
mod contents;
mod golden;
mod kit;
mod log;
mod outage;
mod policy;
mod properties;
mod secrets;
mod stack;
mod stored;
mod table;
mod tampering;
mod waiting;
