//! Peers over a network in memory and over TCP.

mod calls;
mod connections;
mod hostile;
mod kit;
