//! The rules of the memory store, one test each.

mod accounting;
mod coherence;
mod entries;
mod fairness;
mod leases;
mod plain;
mod policies;
mod retain;
mod sweeping;

use std::time::Duration;

use crate::{
    Address, Get, GetItem, Invalidate, KeyspaceName, Lease, LeaseId, Lifetime, Lookup, MemoryBuilder, MemoryStore,
    NewEntry, OnMiss, OneOrMany, Remove, Result, Scope, Sequence, Set, SetItem, Space, Store, Tag, Tags, Target,
    TenantId, Touch, TouchKind, Version, When, Written, testing::ManualClock,
};

/// A store on a manual clock, with short calls for one item each.
pub(super) struct Bed {
    pub(super) store: MemoryStore,
    pub(super) clock: ManualClock,
}

pub(super) fn space(tenant: &str, keyspace: &str) -> Space {
    let tenant = (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap());
    Space::new(tenant.as_ref(), &KeyspaceName::new(keyspace).unwrap())
}

pub(super) fn key(name: &str) -> Address {
    Address::plain(&space("", "test"), name).unwrap()
}

pub(super) fn tag(name: &str) -> Tag {
    Tag::new(name).unwrap()
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn forever(value: &str) -> NewEntry {
    NewEntry::new(value.to_owned(), Lifetime::UNLIMITED)
}

pub(super) fn tagged(value: &str, name: &str) -> NewEntry {
    forever(value).with_tags(Tags::new([tag(name)]).unwrap())
}

pub(super) fn living(value: &str, ttl: u64, grace: u64) -> NewEntry {
    NewEntry::new(value.to_owned(), Lifetime::new(secs(ttl)).unwrap().with_stale_for(secs(grace)).unwrap())
}

pub(super) fn bed() -> Bed {
    bed_with(|builder| builder)
}

pub(super) fn bed_with(change: impl FnOnce(MemoryBuilder) -> MemoryBuilder) -> Bed {
    let clock = ManualClock::new();
    let builder = MemoryStore::builder().max_bytes(1 << 20).shards(4).clock(clock.clone());
    Bed { store: change(builder).build().unwrap(), clock }
}

impl Bed {
    pub(super) async fn read(&self, item: impl Into<GetItem>, on_miss: OnMiss, scope: Scope) -> Result<Lookup> {
        let op = Get { items: OneOrMany::One(item.into()), on_miss, scope };
        self.store.get(op).await.unwrap().into_one().unwrap()
    }

    pub(super) async fn get(&self, name: &str) -> Lookup {
        self.read(key(name), OnMiss::Report, Scope::default()).await.unwrap()
    }

    /// Returns the fresh value under a key.
    pub(super) async fn value(&self, name: &str) -> Option<String> {
        match self.get(name).await {
            Lookup::Hit(entry) => Some(String::from_utf8(entry.value.to_vec()).unwrap()),
            _ => None,
        }
    }

    pub(super) async fn ask(&self, name: &str) -> Lookup {
        self.read(key(name), OnMiss::Lease, Scope::default()).await.unwrap()
    }

    pub(super) async fn lease(&self, name: &str) -> Lease {
        match self.ask(name).await {
            Lookup::Leased(lease) => lease,
            other => panic!("not leased but {other:?}"),
        }
    }

    pub(super) async fn write(&self, address: Address, entry: NewEntry, when: When) -> Result<Written> {
        let items = OneOrMany::One(SetItem { address, entry, when });
        self.store.set(Set { items, scope: Scope::default() }).await.unwrap().into_one().unwrap()
    }

    pub(super) async fn set(&self, name: &str, entry: NewEntry) -> Version {
        match self.write(key(name), entry, When::Always).await.unwrap() {
            Written::Stored(version) => version,
            other => panic!("an unconditional write was {other:?}"),
        }
    }

    pub(super) async fn fill(&self, name: &str, entry: NewEntry, lease: Lease) -> Written {
        self.write(key(name), entry, When::IfLease(lease.id)).await.unwrap()
    }

    pub(super) async fn remove(&self, name: &str) -> bool {
        self.store.remove(Remove::one(key(name))).await.unwrap().into_one().unwrap().unwrap()
    }

    pub(super) async fn touch(&self, name: &str, kind: TouchKind) -> bool {
        self.store.touch(Touch::one(key(name), kind)).await.unwrap().into_one().unwrap().unwrap()
    }

    pub(super) async fn invalidate(&self, target: Target) -> Sequence {
        self.store.invalidate(Invalidate::one(target)).await.unwrap().into_one().unwrap().unwrap()
    }

    pub(super) async fn invalidate_tag(&self, name: &str) -> Sequence {
        self.invalidate(Target::Tag(space("", "test"), tag(name))).await
    }

    pub(super) async fn clear(&self) -> Sequence {
        self.invalidate(Target::Space(space("", "test"))).await
    }
}

pub(super) fn busy(lookup: &Lookup) -> Option<Option<LeaseId>> {
    if let Lookup::Busy(joinable) = lookup { Some(*joinable) } else { None }
}
