//! Engines that find each other: over TCP, with gossip, and over a network in memory.

mod lists;
mod rolling;
mod settling;
mod simulated;
mod skew;
mod start;
mod tcp;
mod traces;
