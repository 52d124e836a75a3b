//! The engine on one node, and over several.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg_attr(feature = "gossip", allow(clippy::print_stdout, reason = "what a restart has cost is told"))]

mod basics;
#[cfg(feature = "gossip")]
mod cluster;
mod conformance;
mod hot_keys;
mod keyspaces;
mod kit;
mod lifecycle;
mod loading;
mod observed;
mod protection;
mod service;
