//! memstache's store, bounded in bytes, every entry with a ttl.

use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use memstache_core::{
    Address, EvictionPolicy, Get, KeyspaceName, Lifetime, Lookup, Lru, MemoryStats, MemoryStore, NewEntry, Parts,
    Request, Response, S3Fifo, Set, Sieve, Space, TinyLfu,
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
const LARGE: usize = 1024;

/// One row a policy, the default one first.
pub(super) fn entrants() -> Vec<Entrant> {
    macro_rules! entrant {
        ($name:literal, $role:ident, $way:ident, $policy:expr) => {
            Entrant { name: $name, role: Role::$role, make: |setup| Box::new($way(Store::new(setup, $policy))) }
        };
    }
    vec![
        entrant!("memstache", Judged, Direct, tiny_lfu),
        entrant!("memstache (service)", Ours, Service, tiny_lfu),
        entrant!("memstache S3-FIFO", Ours, Direct, |_| S3Fifo::new()),
        entrant!("memstache SIEVE", Ours, Direct, |_| Sieve::new()),
        entrant!("memstache LRU", Ours, Direct, |_| Lru::new()),
    ]
}

/// The cross-check of the policy's rows: the store itself, with the default policy.
pub(super) fn player() -> Player {
    Player {
        name: "memstache store (bytes)",
        role: Role::CrossCheck,
        make: |capacity, keys| Box::new(InBytes::new(capacity, keys, tiny_lfu)),
        from: LARGE,
    }
}

fn tiny_lfu(share: usize) -> TinyLfu {
    TinyLfu::new(share, 0x5eed)
}

/// A store and what it is called with.
struct Store<P> {
    store: MemoryStore<P>,
    space: Space,
    lifetime: Lifetime,
}

impl<P> Clone for Store<P> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), space: self.space.clone(), lifetime: self.lifetime }
    }
}

impl<P: EvictionPolicy> Store<P> {
    fn new(setup: &Setup<'_>, policy: fn(usize) -> P) -> Self {
        let Setup { keys, capacity, exact } = *setup;
        if exact { Self::exact(keys, capacity, VALUE, policy) } else { Self::ample(keys, capacity, VALUE, policy) }
    }

    /// As large as a store charges for so many entries.
    fn exact(keys: &Keys, capacity: usize, value: usize, policy: fn(usize) -> P) -> Self {
        let mut probe = Service(Self::ample(keys, capacity, value, policy));
        (0..capacity).for_each(|key| probe.set(keys.text(key as u32), Bytes::from(vec![0; value])));
        let stats = probe.0.store.stats();
        assert_eq!(stats.entries, capacity, "a probe with ample room holds everything");
        Self::of(stats.bytes, policy)
    }

    fn ample(keys: &Keys, capacity: usize, value: usize, policy: fn(usize) -> P) -> Self {
        Self::of((capacity * (keys.len() + value + AMPLE_OVERHEAD)).max(1 << 20), policy)
    }

    fn of(max_bytes: usize, policy: fn(usize) -> P) -> Self {
        let store = MemoryStore::builder().max_bytes(max_bytes).policy(policy).build();
        let keyspace = KeyspaceName::new("bench").expect("a good name");
        Self {
            store: store.expect("settings within their limits"),
            space: Space::new(None, &keyspace),
            lifetime: Lifetime::new(TTL).expect("within its limits"),
        }
    }

    fn address(&self, key: &str) -> Address {
        Address::plain(&self.space, key).expect("a name within its limits")
    }

    fn parts<'a>(&'a self, key: &'a str) -> Parts<'a> {
        Parts::new(&self.space, key.as_bytes()).expect("a name within its limits")
    }

    fn entry(&self, value: Bytes) -> NewEntry {
        NewEntry::new(value, self.lifetime)
    }

    fn note(&self) -> String {
        let MemoryStats { entries, bytes, max_bytes, .. } = self.store.stats();
        format!("holds {entries} entries in {bytes} of {max_bytes} bytes, charged {} each", bytes / entries.max(1))
    }
}

/// A store called by its own methods, as an in-process cache of bytes.
struct Direct<P>(Store<P>);

impl<P> Clone for Direct<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: EvictionPolicy> Contestant for Direct<P> {
    type Value = Bytes;

    fn get(&mut self, key: &str) -> Option<Bytes> {
        self.0.store.get_now(&self.0.parts(key))
    }

    fn put(&mut self, key: &str) {
        let stored = self.0.store.set_now(&self.0.parts(key), self.0.entry(value()));
        stored.expect("a small value fits");
    }

    fn note(&self) -> Option<String> {
        Some(self.0.note())
    }
}

/// A store called through its tower service, as a stack calls it; it answers at once, so it is polled once.
struct Service<P>(Store<P>);

impl<P: EvictionPolicy> Service<P> {
    fn set(&mut self, key: &str, value: Bytes) {
        let entry = self.0.entry(value);
        self.call(Set::one(self.0.address(key), entry));
    }

    fn call(&mut self, request: impl Into<Request>) -> Response {
        let answer = pin!(self.0.store.call(request.into()));
        let Poll::Ready(response) = answer.poll(&mut Context::from_waker(Waker::noop())) else {
            unreachable!("nothing waits for a lease")
        };
        response.expect("a memory store answers")
    }
}

impl<P> Clone for Service<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: EvictionPolicy> Contestant for Service<P> {
    type Value = Bytes;

    fn get(&mut self, key: &str) -> Option<Bytes> {
        let Response::Found(found) = self.call(Get::one(self.0.address(key))) else {
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
        Some(self.0.note())
    }
}

/// The store as a cache of so many entries.
struct InBytes<P> {
    store: Service<P>,
    keys: Keys,
}

impl<P: EvictionPolicy> InBytes<P> {
    fn new(capacity: usize, distinct: usize, policy: fn(usize) -> P) -> Self {
        let keys = Keys::new(Keys::SHORT, distinct);
        Self { store: Service(Store::exact(&keys, capacity, SMALL, policy)), keys }
    }
}

impl<P: EvictionPolicy> Simulated for InBytes<P> {
    fn request(&mut self, key: u32) -> bool {
        let key = self.keys.text(key);
        let hit = self.store.get(key).is_some();
        if !hit {
            self.store.set(key, Bytes::from_static(&[0; SMALL]));
        }
        hit
    }
}
