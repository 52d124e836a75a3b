//! What a node does with the keys that others own: it asks their owners, one hop away, and answers for all of them together.

mod cluster;
mod fallback;
mod follow;
mod remote;
mod route;
mod split;
mod view;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use self::{
    cluster::{Cluster, Timing},
    follow::{adopt, follow},
    route::run,
    split::home_key,
    view::{Held, Taking, View},
};
