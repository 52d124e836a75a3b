//! Members, placement and membership, as their users see them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod balance;
mod golden;
mod kit;
mod movement;
