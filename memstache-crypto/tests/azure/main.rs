//! The providers of Azure Key Vault, by Microsoft's Rust SDK, against the emulator.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod keys;
mod kit;
mod outage;
mod secrets;
mod settings;
