//! The atomics of what is lock-free: where it is checked under every order of events, a model's stand in for them.

pub(crate) use std::sync::atomic;
