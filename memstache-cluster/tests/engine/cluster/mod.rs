//! Engines that find each other: over TCP, with gossip, and over a network in memory.

mod hot_set;
mod lists;
mod rolling;
mod settling;
mod simulated;
mod skew;
mod start;
mod tcp;
mod traces;
