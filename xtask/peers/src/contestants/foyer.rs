//! foyer's memory cache with three of its policies, bounded in entries; for hit ratios in one shard.

use bytes::Bytes;
use foyer_memory::{Cache, CacheBuilder, EvictionConfig, LfuConfig, LruConfig, S3FifoConfig};

use super::{Contestant, Entrant, Player, Role, Simulated, value};

pub(super) fn entrants() -> [Entrant; 3] {
    [
        Entrant {
            name: "foyer S3-FIFO",
            role: Role::Peer,
            make: |setup| Box::new(Foyer::new(setup.capacity, S3FifoConfig::default())),
        },
        Entrant {
            name: "foyer LFU",
            role: Role::Peer,
            make: |setup| Box::new(Foyer::new(setup.capacity, LfuConfig::default())),
        },
        Entrant {
            name: "foyer LRU",
            role: Role::Peer,
            make: |setup| Box::new(Foyer::new(setup.capacity, LruConfig::default())),
        },
    ]
}

pub(super) fn players() -> [Player; 3] {
    [
        Player {
            name: "foyer S3-FIFO",
            role: Role::Peer,
            make: |capacity, _| Box::new(OneShard::new(capacity, S3FifoConfig::default())),
            from: 0,
        },
        Player {
            name: "foyer LFU",
            role: Role::Peer,
            make: |capacity, _| Box::new(OneShard::new(capacity, LfuConfig::default())),
            from: 0,
        },
        Player {
            name: "foyer LRU",
            role: Role::Peer,
            make: |capacity, _| Box::new(OneShard::new(capacity, LruConfig::default())),
            from: 0,
        },
    ]
}

#[derive(Clone)]
struct Foyer(Cache<Box<str>, Bytes>);

impl Foyer {
    fn new(capacity: usize, policy: impl Into<EvictionConfig>) -> Self {
        Self(CacheBuilder::new(capacity).with_eviction_config(policy).build())
    }
}

impl Contestant for Foyer {
    type Value = Bytes;

    fn get(&mut self, key: &str) -> Option<Bytes> {
        self.0.get(key).map(|entry| entry.value().clone())
    }

    fn put(&mut self, key: &str) {
        self.0.insert(key.into(), value());
    }
}

struct OneShard(Cache<u32, ()>);

impl OneShard {
    fn new(capacity: usize, policy: impl Into<EvictionConfig>) -> Self {
        Self(CacheBuilder::new(capacity).with_shards(1).with_eviction_config(policy).build())
    }
}

impl Simulated for OneShard {
    fn request(&mut self, key: u32) -> bool {
        let hit = self.0.get(&key).is_some();
        if !hit {
            self.0.insert(key, ());
        }
        hit
    }
}
