//! What a node does with the keys that others own: it asks their owners, one hop away, and answers for all of them together.

mod cluster;
mod drain;
mod fallback;
mod follow;
mod remote;
mod route;
mod split;
mod touch;
mod view;
mod warm;

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
pub(crate) use self::follow::adopt;
pub(crate) use self::{
    cluster::{Cluster, Timing},
    drain::drain,
    follow::follow,
    route::run,
    split::home_key,
    touch::keep_in_touch,
    view::{Held, Taking, View},
    warm::begin as warm,
};
