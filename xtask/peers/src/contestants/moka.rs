//! moka with its default policy (W-TinyLFU) and hasher, bounded in entries.

use bytes::Bytes;
use moka::sync::Cache;

use super::{Contestant, Entrant, Player, Role, Simulated, value};

pub(super) fn entrant() -> Entrant {
    Entrant { name: "moka", role: Role::Peer, make: |setup| Box::new(Moka(Cache::new(setup.capacity as u64))) }
}

pub(super) fn player() -> Player {
    Player { name: "moka (strict)", role: Role::Peer, make: |capacity, _| Box::new(Strict::new(capacity)), from: 0 }
}

#[derive(Clone)]
struct Moka(Cache<Box<str>, Bytes>);

impl Contestant for Moka {
    type Value = Bytes;

    fn get(&mut self, key: &str) -> Option<Bytes> {
        self.0.get(key)
    }

    fn put(&mut self, key: &str) {
        self.0.insert(key.into(), value());
    }

    fn settle(&mut self) {
        self.0.run_pending_tasks();
    }
}

/// Does its housekeeping after each request, so that it never holds more than its capacity.
struct Strict(Cache<u32, ()>);

impl Strict {
    fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity as u64))
    }
}

impl Simulated for Strict {
    fn request(&mut self, key: u32) -> bool {
        let hit = self.0.get(&key).is_some();
        if !hit {
            self.0.insert(key, ());
        }
        self.0.run_pending_tasks();
        hit
    }
}
