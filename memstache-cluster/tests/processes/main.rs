//! Nodes that are processes of their own: killed, stopped, started again.
//!
//! The test binary runs itself for each node. Nodes speak TCP and gossip over loopback; they end with the test, by their
//! process id.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "a node answers by its output, and what was seen is told")]

mod cluster;
mod killed;
mod load;
mod node;
mod process;
mod stopped;
mod together;
