//! A walk of every operation through a sealed stack: nothing that reaches the store shows what went in.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use memstache_core::{
    Address, ErasedService, Explain, Get, GetItem, Invalidate, Lifetime, Lookup, MemoryFuture, MemoryStore, NewEntry,
    OnMiss, OneOrMany, Operation, Parts, Remove, Request, Scope, Sequence, Set, SetItem, Stack, Tag, Tags, Target,
    TenantId, Tick, Touch, TouchItem, TouchKind, Version, When, envelope,
};
use memstache_crypto::{BlindNames, Seal, SealBuilder, Subkeys};
use tower::Service;

use crate::kit::{builder, keys};

/// A store that keeps every byte that it was ever given.
#[derive(Clone)]
struct Spy {
    store: MemoryStore,
    bytes: Arc<Mutex<Vec<Vec<u8>>>>,
    operations: Arc<Mutex<HashSet<&'static str>>>,
}

impl Service<Request> for Spy {
    type Response = memstache_core::Response;
    type Error = memstache_core::Error;
    type Future = MemoryFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.store.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> MemoryFuture {
        self.operations.lock().unwrap().insert(request.name());
        let mut bytes = self.bytes.lock().unwrap();
        bytes.extend(request.addresses().map(|address| address.stored().to_vec()));
        for (_, entry) in request.entries_mut() {
            // As a remote store would keep it.
            let entry = entry.clone().into_entry(Tick::from_millis(1), Version(1), Sequence(1));
            bytes.push(envelope::encode(&entry, Tick::from_millis(1)).to_vec());
        }
        drop(bytes);
        self.store.call(request)
    }
}

const VALUES: [&str; 4] = [
    "the quick brown fox jumps over the lazy dog",
    "{\"card\":\"4111-1111-1111-1111\",\"holder\":\"Ada Lovelace\"}",
    "abababababababababababababababababababab",
    "\0\0\0\0\0\0\0\0\0\0 a value of zeros \0\0\0\0\0\0\0\0\0\0\0\0",
];
const NAMES: [&str; 4] = ["ada@example.com", "patient/1234567", "abababababababab", "session:0123456789abcdef"];

struct Walk {
    service: ErasedService,
    names: BlindNames,
    spy: Spy,
}

impl Walk {
    fn new(build: fn(SealBuilder) -> SealBuilder) -> (Self, Seal) {
        let (builder, clock) = builder(keys(1));
        let seal = build(builder).build().unwrap();
        let store = MemoryStore::builder().clock(clock).build().unwrap();
        let spy = Spy { store, bytes: Arc::default(), operations: Arc::default() };
        let service = Stack::over(spy.clone()).seal(seal.clone()).build();
        (Self { service, names: BlindNames::new(keys(1)), spy }, seal)
    }

    fn space(&self) -> memstache_core::Space {
        crate::kit::address("acme", "people", "n").space()
    }

    fn address(&self, at: usize) -> Address {
        Parts::new(&self.space(), NAMES[at].as_bytes()).unwrap().to_address(&self.names).unwrap()
    }

    async fn run<O: Operation>(&self, op: O) -> O::Output {
        O::output(self.service.dispatch(op).await.unwrap()).unwrap()
    }

    async fn set(&self, at: usize, entry: NewEntry, when: When) {
        let items = OneOrMany::One(SetItem { address: self.address(at), entry, when });
        self.run(Set { items, scope: Scope::default() }).await.into_one().unwrap().unwrap();
    }

    async fn get(&self, at: usize, on_miss: OnMiss) -> Lookup {
        let items = OneOrMany::One(GetItem::from(self.address(at)));
        self.run(Get { items, on_miss, scope: Scope::default() }).await.into_one().unwrap().unwrap()
    }

    /// One sample of every operation, in every form that carries something.
    async fn all(&self) {
        let lifetime = Lifetime::new(Duration::from_secs(60)).unwrap().with_stale_for(Duration::from_secs(60)).unwrap();
        let entry = |at: usize| NewEntry::new(VALUES[at], lifetime);
        let tags = Tags::new([Tag::new("t").unwrap()]).unwrap();
        self.set(0, entry(0).with_tags(tags), When::Always).await;
        self.set(1, entry(1), When::IfAbsent).await;
        self.set(1, entry(2), When::IfPresent).await;
        let Lookup::Hit(found) = self.get(1, OnMiss::Report).await else { panic!() };
        assert_eq!(found.value, VALUES[2]);
        self.set(1, entry(3), When::IfVersion(found.meta.version)).await;
        let Lookup::Leased(lease) = self.get(2, OnMiss::Lease).await else { panic!() };
        let touch = |at, kind| TouchItem { address: self.address(at), kind };
        let kinds = [
            touch(0, TouchKind::Probe),
            touch(0, TouchKind::Slide),
            touch(0, TouchKind::Live(lifetime)),
            touch(2, TouchKind::Renew(lease.id)),
        ];
        self.run(Touch { items: OneOrMany::Many(kinds.to_vec()), scope: Scope::default() }).await;
        self.set(2, entry(1), When::IfLease(lease.id)).await;
        let Lookup::Leased(lease) = self.get(3, OnMiss::Wait).await else { panic!() };
        self.run(Touch::one(self.address(3), TouchKind::Release(lease.id))).await;
        self.set(3, NewEntry::negative(lifetime), When::Always).await;
        assert!(matches!(self.get(3, OnMiss::Lease).await, Lookup::Negative(_)));
        let batch = (0..4).map(|at| SetItem { address: self.address(at), entry: entry(at), when: When::Always });
        self.run(Set { items: batch.collect(), scope: Scope::default() }).await;
        let asked = (0..4).map(|at| GetItem::from(self.address(at))).collect();
        let found = self.run(Get { items: asked, on_miss: OnMiss::Report, scope: Scope::default() }).await;
        for (at, item) in found.into_iter().enumerate() {
            assert!(matches!(item, Ok(Lookup::Hit(entry)) if entry.value == VALUES[at]));
        }
        let tenant = TenantId::new("acme").unwrap();
        let (space, tag) = (self.space(), Tag::new("t").unwrap());
        for target in [Target::Tag(space.clone(), tag), Target::Space(space), Target::Tenant(tenant)] {
            self.run(Invalidate::one(target)).await;
        }
        self.run(Explain { items: OneOrMany::One(self.address(0)), scope: Scope::default() }).await;
        self.run(Remove::one(self.address(0))).await;
    }
}

/// Every run of eight bytes.
fn runs(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.windows(8)
}

#[tokio::test]
async fn nothing_stored_shows_what_went_in() {
    let ways: [fn(SealBuilder) -> SealBuilder; 3] = [
        |builder| builder,
        |builder| builder.padded().committing(),
        |builder| builder.chacha20_poly1305().subkeys(Subkeys::per_writer()),
    ];
    let plain: HashSet<&[u8]> = VALUES.iter().chain(&NAMES).flat_map(|text| runs(text.as_bytes())).collect();
    for way in ways {
        let (walk, seal) = Walk::new(way);
        walk.all().await;
        let stored = walk.spy.bytes.lock().unwrap();
        assert!(stored.len() > 30, "{}", stored.len());
        for bytes in stored.iter() {
            assert!(!runs(bytes).any(|run| plain.contains(run)), "{bytes:?}");
        }
        let operations = walk.spy.operations.lock().unwrap();
        let every = HashSet::from(["get", "set", "remove", "touch", "invalidate", "explain"]);
        assert_eq!(*operations, every);
        let stats = seal.stats();
        assert_eq!((stats.sealed, stats.left_plain, stats.rejected()), (10, 0, 0), "{stats:?}");
    }
}

#[tokio::test]
async fn the_walk_finds_what_is_not_hidden() {
    let (walk, _) = Walk::new(|builder| builder.plain_by_default());
    walk.all().await;
    let stored = walk.spy.bytes.lock().unwrap();
    let shown = |text: &str| stored.iter().any(|bytes| runs(bytes).any(|run| run == &text.as_bytes()[..8]));
    assert!(VALUES.iter().all(|value| shown(value)));
    assert!(!shown(NAMES[0]));
}
