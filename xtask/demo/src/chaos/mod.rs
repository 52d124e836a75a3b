//! Chaos: the store of the cache and the database are broken under load, and what callers see is judged.

mod phase;
mod row;
mod run;
mod verdict;

pub(crate) use self::run::{lives, run};
