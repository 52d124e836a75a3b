//! Engines that find each other: over TCP, with gossip, and over a network in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../engine/kit.rs"]
#[allow(dead_code, reason = "shared with the tests of one node")]
mod kit;
mod lists;
mod simulated;
mod start;
mod tcp;
mod traces;
