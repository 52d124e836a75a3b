//! memstache's store, bounded in bytes, every entry with a ttl.
//!
//! Called through its tower service, polled once: it is always ready and answers at once.

use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use memstache_core::{
    Address, Get, KeyspaceName, Lifetime, Lookup, MemoryBuilder, MemoryStore, NewEntry, Request, Response, Set, Space,
};
use tower_service::Service as _;

use super::{Contestant, Entrant, Player, Role, Setup, Simulated, VALUE, value};
use crate::keys::Keys;

/// Long enough that nothing expires while it is measured.
const TTL: Duration = Duration::from_secs(3600);
/// More than an entry is charged beside its key and value.
const AMPLE_OVERHEAD: usize = 1024;
/// Bytes of a value in the cross-check of hit ratios.
const SMALL: usize = 8;
/// Below it, the least that a shard and an entry may take is more than the capacity.
const LARGE: usize = 4096;

/// One row a policy, the default one first.
pub(super) fn entrants() -> Vec<Entrant> {
    vec![Entrant { name: "memstache LRU", role: Role::Judged, make: |setup| Box::new(Store::new(setup)) }]
}

/// The cross-check of the policy's rows: the store itself.
pub(super) fn player() -> Player {
    Player {
        name: "memstache store (bytes)",
        role: Role::CrossCheck,
        make: |capacity, keys| Box::new(InBytes::new(capacity, keys)),
        from: LARGE,
    }
}

#[derive(Clone)]
struct Store {
    store: MemoryStore,
    space: Space,
    lifetime: Lifetime,
    charged: Option<usize>,
}

impl Store {
    fn new(setup: &Setup<'_>) -> Self {
        let Setup { keys, capacity, exact } = *setup;
        if !exact {
            return Self::of(keys, capacity, VALUE, |builder| builder);
        }
        let charged = Self::charged(keys, capacity, VALUE);
        let store = Self::of(keys, capacity, VALUE, |builder| builder.max_bytes(charged));
        Self { charged: Some(charged / capacity), ..store }
    }

    /// Has room for all, unless told otherwise.
    fn of(keys: &Keys, capacity: usize, value: usize, choose: impl Fn(MemoryBuilder) -> MemoryBuilder) -> Self {
        let ample = (capacity * (keys.len() + value + AMPLE_OVERHEAD)).max(1 << 20);
        let store = choose(MemoryStore::builder().max_bytes(ample)).build().expect("settings within their limits");
        let keyspace = KeyspaceName::new("bench").expect("a good name");
        let lifetime = Lifetime::new(TTL).expect("within its limits");
        Self { store, space: Space::new(None, &keyspace), lifetime, charged: None }
    }

    /// What the store charges for so many entries, by filling one.
    fn charged(keys: &Keys, entries: usize, value: usize) -> usize {
        let mut probe = Self::of(keys, entries, value, |builder| builder);
        (0..entries).for_each(|key| probe.set(keys.text(key as u32), Bytes::from(vec![0; value])));
        let stats = probe.store.stats();
        assert_eq!(stats.entries, entries, "a probe with ample room holds everything");
        stats.bytes
    }

    fn set(&mut self, key: &str, value: Bytes) {
        let entry = NewEntry::new(value, self.lifetime);
        self.call(Set::one(self.address(key), entry));
    }

    fn address(&self, key: &str) -> Address {
        Address::plain(&self.space, key).expect("a name within its limits")
    }

    fn call(&mut self, request: impl Into<Request>) -> Response {
        let answer = pin!(self.store.call(request.into()));
        let Poll::Ready(response) = answer.poll(&mut Context::from_waker(Waker::noop())) else {
            unreachable!("nothing waits for a lease")
        };
        response.expect("a memory store answers")
    }
}

impl Contestant for Store {
    type Value = Bytes;

    fn get(&mut self, key: &str) -> Option<Bytes> {
        let Response::Found(found) = self.call(Get::one(self.address(key))) else {
            unreachable!("a get is answered by what was found")
        };
        match found.into_one() {
            Some(Ok(Lookup::Hit(entry))) => Some(entry.value),
            _ => None,
        }
    }

    fn put(&mut self, key: &str) {
        self.set(key, value());
    }

    fn note(&self) -> Option<String> {
        let stats = self.store.stats();
        let charged = self.charged.map(|bytes| format!("charges {bytes} bytes an entry, "))?;
        Some(format!("{charged}so max_bytes is {}; it holds {} entries", stats.max_bytes, stats.entries))
    }
}

/// As large as the store charges for `capacity` entries.
struct InBytes {
    store: Store,
    keys: Keys,
}

impl InBytes {
    fn new(capacity: usize, distinct: usize) -> Self {
        let keys = Keys::new(Keys::SHORT, distinct);
        let charged = Store::charged(&keys, capacity, SMALL);
        let store = Store::of(&keys, capacity, SMALL, |builder| builder.max_bytes(charged));
        Self { store, keys }
    }
}

impl Simulated for InBytes {
    fn request(&mut self, key: u32) -> bool {
        let key = self.keys.text(key);
        let hit = self.store.get(key).is_some();
        if !hit {
            self.store.set(key, Bytes::from_static(&[0; SMALL]));
        }
        hit
    }
}
