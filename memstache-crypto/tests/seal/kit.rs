//! Layers driven by hand: entries down, answers up.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use memstache_core::{
    Address, Entry, Error, Get, GetItem, KeyspaceName, Lifetime, Lookup, NewEntry, OnMiss, OneOrMany, Request,
    Response, Result, Scope, Sequence, Set, SetItem, Space, Step, Stored, TenantId, Tick, Transform, Version, When,
    Written, testing::ManualClock,
};
use memstache_crypto::{
    Backend, DataKey, DataKeys, FixedKeys, KeyId, KeyLookup, NameKey, Pending, Seal, SealBuilder, Secret, SeededRandom,
};

pub(crate) const VERSION: Version = Version(7);

pub(crate) fn secret(seed: u8) -> Secret {
    Secret::from_bytes([seed; 32])
}

pub(crate) fn keys(seed: u8) -> FixedKeys {
    FixedKeys::dangerous_one_for_all(secret(seed))
}

/// One key for everything that only committing suites may use.
#[derive(Debug)]
pub(crate) struct Brought(pub(crate) Arc<DataKey>);

impl Brought {
    pub(crate) fn new(seed: u8) -> Self {
        Self(Arc::new(DataKey::new(secret(seed)).committing(true)))
    }
}

impl DataKeys for Brought {
    fn sealing(&self, _: &Space) -> KeyLookup {
        KeyLookup::Ready(Arc::clone(&self.0))
    }

    fn opening(&self, _: &Space, _: KeyId) -> KeyLookup {
        KeyLookup::Ready(Arc::clone(&self.0))
    }

    fn naming(&self, _: &Space) -> Option<Arc<NameKey>> {
        None
    }
}

pub(crate) fn keyspace(name: &str) -> KeyspaceName {
    KeyspaceName::new(name).unwrap()
}

/// The address of `tenant:keyspace:name`; an empty tenant is the shared space.
pub(crate) fn address(tenant: &str, space: &str, name: impl AsRef<[u8]>) -> Address {
    let tenant = (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap());
    Address::plain(&Space::new(tenant.as_ref(), &keyspace(space)), name).unwrap()
}

pub(crate) fn home() -> Address {
    address("acme", "users", "ada")
}

/// A builder on a manual clock.
pub(crate) fn builder(keys: impl DataKeys) -> (SealBuilder, ManualClock) {
    let clock = ManualClock::new();
    (Seal::builder(keys).clock(clock.clone()), clock)
}

/// A layer whose randomness repeats.
pub(crate) fn seeded(seed: u64) -> SealBuilder {
    builder(keys(1)).0.random(SeededRandom::new(seed))
}

pub(crate) fn seal() -> Seal {
    builder(keys(1)).0.build().unwrap()
}

/// Every backend of this build.
pub(crate) fn backends() -> Vec<Backend> {
    vec![
        Backend::ring(),
        #[cfg(feature = "aws-lc")]
        Backend::aws_lc(),
    ]
}

pub(crate) fn entry(value: impl Into<Bytes>) -> NewEntry {
    NewEntry::new(value, Lifetime::UNLIMITED)
}

pub(crate) fn lasting(value: impl Into<Bytes>, ttl: u64) -> NewEntry {
    NewEntry::new(value, Lifetime::new(Duration::from_secs(ttl)).unwrap())
}

pub(crate) fn set(items: Vec<(Address, NewEntry)>) -> Request {
    let items = items.into_iter().map(|(address, entry)| SetItem { address, entry, when: When::Always }).collect();
    Request::Set(Set { items: OneOrMany::Many(items), scope: Scope::default() })
}

pub(crate) fn get(addresses: &[Address]) -> Request {
    let items = addresses.iter().cloned().map(GetItem::from).collect();
    Request::Get(Get { items: OneOrMany::Many(items), on_miss: OnMiss::Report, scope: Scope::default() })
}

pub(crate) fn now<T: std::fmt::Debug>(step: Step<T>) -> Result<T> {
    match step {
        Step::Now(result) => result,
        other => panic!("not at once: {other:?}"),
    }
}

/// Seals one entry; what the store would be given.
pub(crate) fn down(seal: &Seal, address: &Address, entry: NewEntry) -> Result<NewEntry> {
    match seal.request(Request::Set(Set::one(address.clone(), entry))) {
        Step::Now(Ok((Request::Set(set), _))) => Ok(set.items.into_one().unwrap().entry),
        Step::Now(Err(error)) => Err(error),
        Step::Answer(Response::Stored(stored)) => Err(only(stored).unwrap_err()),
        other => panic!("{other:?}"),
    }
}

/// Opens one entry that was found at an address.
pub(crate) fn up(seal: &Seal, address: &Address, stored: NewEntry) -> Result<Lookup> {
    answer(seal, address, Lookup::Hit(kept(stored)))
}

pub(crate) fn answer(seal: &Seal, address: &Address, lookup: Lookup) -> Result<Lookup> {
    let (_, pending) = now(seal.request(Request::Get(Get::one(address.clone())))).unwrap();
    found(now(seal.response(pending, Response::Found(OneOrMany::One(Ok(lookup)))))?)
}

pub(crate) fn found(response: Response) -> Result<Lookup> {
    match response {
        Response::Found(found) => found.into_one().unwrap(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn only(stored: Stored) -> Result<Written> {
    stored.into_one().unwrap()
}

/// The entry as a store keeps it.
pub(crate) fn kept(stored: NewEntry) -> Entry {
    stored.into_entry(Tick::from_millis(1), VERSION, Sequence(3))
}

/// Asserts that an answer is a hit, and returns it.
#[track_caller]
pub(crate) fn hit(found: Result<Lookup>) -> Entry {
    match found {
        Ok(Lookup::Hit(entry)) => entry,
        other => panic!("no hit but {other:?}"),
    }
}

/// Asserts that a value was refused as every other is.
#[track_caller]
pub(crate) fn assert_rejected(found: Result<Lookup>) {
    let error = found.expect_err("it must not open");
    let usual = Error::rejected(VERSION);
    assert_eq!(format!("{error} {error:?}"), format!("{usual} {usual:?}"), "one public error");
    assert_eq!(error.version(), usual.version());
}

/// A request of one kind, and what must be remembered of it.
pub(crate) fn asked(seal: &Seal, request: Request) -> (Request, Pending) {
    now(seal.request(request)).unwrap()
}
