//! The emulator over real HTTP, with a client that knows nothing of it.

mod client;
mod faults;
mod hostile;
mod keys;
mod program;
mod secrets;
mod server;
