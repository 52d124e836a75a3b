//! The emulator over real HTTP, with a client that knows nothing of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod faults;
mod hostile;
mod keys;
mod paging;
mod program;
mod secrets;
mod server;
mod switches;
