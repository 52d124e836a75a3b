//! The providers of Azure Key Vault, by Microsoft's Rust SDK, against the emulator.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod keyring;
mod keys;
mod kit;
mod outage;
mod said;
#[path = "../seal/log.rs"]
mod said_by;
mod sdk;
mod secrets;
mod settings;
mod tls;
