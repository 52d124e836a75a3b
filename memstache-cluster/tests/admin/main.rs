//! The admin endpoints: what they tell to whom, and what they survive.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod browser;
mod building;
mod changes;
mod events;
mod explain;
mod hostile;
mod kit;
mod live;
mod page;
mod prometheus;
mod slow;
#[path = "../engine/kit.rs"]
#[allow(dead_code, reason = "shared with the tests of one node")]
mod sources;
mod told;
