//! What a node does with the keys that are its own.

mod fetch;
mod guard;
mod local;
mod octets;

pub(crate) use self::local::{Local, Surroundings};
