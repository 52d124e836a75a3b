//! Who takes part: caches as the benches call them, each peer in a file of its own.

mod dashmap;
mod decoded;
mod foyer;
mod lru;
mod memstache;
mod moka;
mod policy;
mod quick_cache;

use std::sync::LazyLock;

use bytes::Bytes;

use crate::{keys::Keys, measure::Runner};

/// Bytes of every value.
pub(crate) const VALUE: usize = 256;

/// A cache under load. Clones are the same cache; every thread has one.
pub(crate) trait Contestant: Clone + Send + 'static {
    /// What a hit hands out, owned by the caller.
    type Value;

    fn get(&mut self, key: &str) -> Option<Self::Value>;

    /// Stores a value of the contestant's own making, allocated anew.
    fn put(&mut self, key: &str);

    /// Does what was put off.
    fn settle(&mut self) {}

    /// Something to print about how it was set up.
    fn note(&self) -> Option<String> {
        None
    }
}

/// A cache that is asked for one key after the other and stores what it misses.
pub(crate) trait Simulated {
    /// Returns whether it was a hit.
    fn request(&mut self, key: u32) -> bool;
}

/// What a contestant is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The memstache row that the marks judge.
    Judged,
    /// Another row of memstache: another policy, or another way to call it.
    Ours,
    /// memstache's store where the others are policies.
    CrossCheck,
    /// quick_cache, what throughput is a ratio to.
    Reference,
    Peer,
    /// Not a cache: an upper bound.
    Bound,
}

impl Role {
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Judged | Self::Ours | Self::CrossCheck)
    }
}

/// How large a contestant under load is made.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) capacity: usize,
    /// Whether the capacity is to be met as exactly as the contestant can, or is only large enough.
    pub(crate) exact: bool,
}

/// A contestant under load.
pub(crate) struct Entrant {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) make: fn(&Setup<'_>) -> Box<dyn Runner>,
}

/// A contestant for hit ratios.
pub(crate) struct Player {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// Given the capacity in entries and the number of distinct keys.
    pub(crate) make: fn(usize, usize) -> Box<dyn Simulated>,
    /// Too slow, or not meaningful, below this capacity.
    pub(crate) from: usize,
}

/// Everybody under load, in the order of the tables.
pub(crate) fn entrants() -> Vec<Entrant> {
    let mut all = memstache::entrants();
    all.extend([quick_cache::entrant(), moka::entrant()]);
    all.extend(foyer::entrants());
    all.push(dashmap::entrant());
    all
}

/// Who keeps decoded values, under load.
pub(crate) fn decoded() -> Vec<Entrant> {
    decoded::entrants()
}

/// Everybody for hit ratios, in the order of the tables; Belady is not one of them, since he knows the future.
pub(crate) fn players() -> Vec<Player> {
    let mut all = policy::players();
    all.push(memstache::player());
    all.extend([quick_cache::player(), moka::player()]);
    all.extend(foyer::players());
    all.push(lru::player());
    all
}

/// A value as the peers store it, in an allocation of its own.
fn value() -> Bytes {
    static TEMPLATE: LazyLock<[u8; VALUE]> = LazyLock::new(|| std::array::from_fn(|at| at as u8));
    Bytes::copy_from_slice(&*TEMPLATE)
}
