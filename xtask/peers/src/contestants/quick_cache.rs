//! quick_cache as it comes: under load weighed in bytes, as memstache is; for hit ratios one entry weighs one.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};

use super::{Contestant, Entrant, Player, Role, Simulated, VALUE, value};

pub(super) fn entrant() -> Entrant {
    Entrant {
        name: "quick_cache",
        role: Role::Reference,
        make: |setup| {
            let weight = setup.capacity * (setup.keys.len() + VALUE);
            Box::new(Quick(Arc::new(Cache::with_weighter(setup.capacity, weight as u64, Bytewise))))
        },
    }
}

pub(super) fn player() -> Player {
    Player {
        name: "quick_cache",
        role: Role::Peer,
        make: |capacity, _| Box::new(Counted(Cache::new(capacity))),
        from: 0,
    }
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<Box<str>, Bytes> for Bytewise {
    fn weight(&self, key: &Box<str>, value: &Bytes) -> u64 {
        (key.len() + value.len()) as u64
    }
}

#[derive(Clone)]
struct Quick(Arc<Cache<Box<str>, Bytes, Bytewise>>);

impl Contestant for Quick {
    type Value = Bytes;

    fn get(&mut self, key: &str) -> Option<Bytes> {
        self.0.get(key)
    }

    fn put(&mut self, key: &str) {
        self.0.insert(key.into(), value());
    }
}

struct Counted(Cache<u32, ()>);

impl Simulated for Counted {
    fn request(&mut self, key: u32) -> bool {
        let hit = self.0.get(&key).is_some();
        if !hit {
            self.0.insert(key, ());
        }
        hit
    }
}
