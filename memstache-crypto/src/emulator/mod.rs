#![doc = include_str!("../../docs/emulator.md")]

mod attributes;
mod builder;
mod calls;
mod failure;
mod faults;
mod front;
#[cfg(any(test, fuzzing, feature = "test-util"))]
pub(crate) mod fuzzing;
mod keys;
mod name;
mod operation;
mod plane;
mod policy;
mod query;
mod route;
mod rsa;
mod secrets;
mod server;
mod state_file;
mod tls;
mod vault;

use serde::de::DeserializeOwned;

use self::failure::Failure;
pub use self::{
    builder::{Emulator, EmulatorBuilder},
    calls::Calls,
    faults::Faults,
    operation::Operation,
};

/// Longest body of a request and of a backup, in bytes.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// Reads the JSON of a body. The error tells where it is wrong and quotes nothing.
fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::bad(format!(
            "The request body is not the expected JSON (line {}, column {}).",
            error.line(),
            error.column()
        ))
    })
}
