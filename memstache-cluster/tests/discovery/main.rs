//! Nodes that find each other by the servers that people have: name servers, NATS, the API server of Kubernetes.
//!
//! `cargo xtask test` installs what is needed and runs what is ignored here.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "servers of others know no clock of ours")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod deploy;
mod dns;
mod kit;
mod kubernetes;
mod nats;
mod story;
