//! What a node does with the keys that others own: it asks their owners, one hop away, and answers for all of them together.

mod cluster;
mod coherence;
mod copies;
mod drain;
mod fallback;
mod follow;
mod forget;
mod gone;
mod hedge;
mod lost;
mod pieces;
mod remote;
mod replica;
mod route;
mod split;
mod splits;
mod tables;
mod touch;
mod view;
mod warming;

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
pub(crate) use self::follow::adopt;
#[cfg(feature = "admin")]
pub(crate) use self::warming::begin as warm;
pub use self::warming::{WarmUp, WarmedUp};
pub(crate) use self::{
    cluster::{Cluster, Timing},
    coherence::subscribe,
    copies::Copies,
    drain::drain,
    follow::{follow, hear_of_splits, retake},
    forget::forget,
    remote::time_of_peers,
    route::run,
    split::home_key,
    touch::keep_in_touch,
    view::{Held, Taking, View},
    warming::{on_start as warm_on_start, on_update as warm_after_update, warm as warm_keyspace},
};
