//! One request of every kind.

use std::iter;

use crate::{
    address::Address,
    entry::NewEntry,
    lifetime::Lifetime,
    request::{Explain, Get, Invalidate, Remove, Request, Set, Target, Touch, TouchKind},
};

/// Returns one request of every kind, each about this address; what is written is `value`.
///
/// For tests that must not forget an operation: one that the contract gets later is among them, or this crate does not
/// compile.
///
/// ```
/// use memstache_core::{Address, KeyspaceName, Space, testing};
///
/// let address = Address::plain(&Space::new(None, &KeyspaceName::new("drinks")?), "tea")?;
/// let names: Vec<_> = testing::samples(&address, "hot").map(|request| request.name()).collect();
/// assert_eq!(names, ["get", "set", "remove", "touch", "invalidate", "explain"]);
/// # Ok::<(), memstache_core::Error>(())
/// ```
pub fn samples(address: &Address, value: &'static str) -> impl Iterator<Item = Request> {
    let first = Request::Get(Get::one(address.clone()));
    iter::successors(Some(first), move |last| after(last, address, value))
}

/// Exhaustive: a new operation must be given its place.
fn after(last: &Request, address: &Address, value: &'static str) -> Option<Request> {
    let address = address.clone();
    match last {
        Request::Get(_) => Some(Set::one(address, NewEntry::new(value, Lifetime::UNLIMITED)).into()),
        Request::Set(_) => Some(Remove::one(address).into()),
        Request::Remove(_) => Some(Touch::one(address, TouchKind::Slide).into()),
        Request::Touch(_) => Some(Invalidate::one(Target::Space(address.space())).into()),
        Request::Invalidate(_) => Some(Explain::one(address).into()),
        Request::Explain(_) => None,
    }
}
