//! The typed handle, rule by rule, over a naive store, the memory store and a near cache.

mod kit;
mod loading;
