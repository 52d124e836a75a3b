//! A bare map with a fast hasher: neither bounded nor a cache, and so the limit of what a hit can cost.

use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::{Contestant, Entrant, Role, value};

pub(super) fn entrant() -> Entrant {
    Entrant { name: "bare dashmap", role: Role::Bound, make: |_| Box::new(Map(Arc::default())) }
}

#[derive(Clone)]
struct Map(Arc<DashMap<Box<str>, Bytes, RandomState>>);

impl Contestant for Map {
    type Value = Bytes;

    fn get(&mut self, key: &str) -> Option<Bytes> {
        self.0.get(key).map(|value| value.clone())
    }

    fn put(&mut self, key: &str) {
        self.0.insert(key.into(), value());
    }
}
