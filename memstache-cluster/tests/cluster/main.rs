//! Engines that find each other: over TCP, with gossip, and over a network in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "what a restart has cost is told")]

#[path = "../engine/kit.rs"]
#[allow(dead_code, reason = "shared with the tests of one node")]
mod kit;
mod lists;
mod rolling;
mod settling;
mod simulated;
mod skew;
mod start;
mod tcp;
mod traces;
