//! Connections between nodes: calling peers, and answering them.

mod client;
mod config;
mod handshake;
mod io;
mod local;
mod server;
#[cfg(test)]
mod tests;
mod until;

pub(crate) use self::{
    client::{PeerHealth, Peers, Silent},
    config::PeerConfig,
    handshake::Refusal,
    local::Local,
    server::{Server, ServerStats},
};
