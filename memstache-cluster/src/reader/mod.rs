//! What a node does with the keys that others own: it asks their owners, one hop away, and answers for all of them together.

mod cluster;
mod coherence;
mod copies;
mod drain;
mod fallback;
mod follow;
mod forget;
mod remote;
mod route;
mod split;
mod view;
mod warm;

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
pub(crate) use self::follow::adopt;
pub(crate) use self::{
    cluster::{Cluster, Timing},
    coherence::subscribe,
    copies::Copies,
    drain::drain,
    follow::follow,
    forget::forget,
    route::run,
    split::home_key,
    view::{Held, Taking, View},
    warm::begin as warm,
};
