//! The engine on one node, and over several.

mod basics;
mod conformance;
mod keyspaces;
mod kit;
mod lifecycle;
mod loading;
mod protection;
mod service;
