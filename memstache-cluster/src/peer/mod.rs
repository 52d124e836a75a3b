//! Connections between nodes: calling peers, and answering them.

mod client;
mod config;
#[cfg(any(test, fuzzing, feature = "test-util"))]
pub(crate) mod fuzzing;
mod handshake;
mod io;
mod local;
mod server;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod until;

pub use self::server::ServerStats;
pub(crate) use self::{
    client::{OnBreaker, PeerHealth, Peers},
    config::{MAX_CONNECTIONS, PeerConfig},
    handshake::Refusal,
    local::Local,
    server::Server,
};
