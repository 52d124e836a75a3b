//! The engine on one node, and over several.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod basics;
mod conformance;
mod hot_keys;
mod keyspaces;
mod kit;
mod lifecycle;
mod loading;
mod observed;
mod protection;
mod service;
