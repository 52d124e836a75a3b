//! Everything that the naive store knows, and what hides or ends what.

use std::{collections::HashMap, time::Duration};

use tokio::sync::broadcast;

use super::{NaiveStore, Sabotage};
use crate::{
    address::{Address, Space},
    clock::Tick,
    coherence::Invalidation,
    entry::Entry,
    expiry::{self, Freshness},
    name::{KeyspaceName, Tag},
    request::{GetItem, Lease, LeaseId, Target},
    version::{Sequence, Version},
};

/// An entry and the lease that brought it.
pub(super) struct Kept {
    pub(super) entry: Entry,
    pub(super) filled_by: Option<LeaseId>,
}

/// A lease that was granted and not ended.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) lease: Lease,
    pub(super) until: Tick,
}

pub(super) struct State {
    pub(super) entries: HashMap<Address, Kept>,
    leases: HashMap<Address, Held>,
    /// When each tag was last invalidated.
    tags: HashMap<(Space, Tag), Sequence>,
    /// When any tag of a space was last invalidated.
    tagged: HashMap<Space, Sequence>,
    /// When each space was last cleared.
    spaces: HashMap<Space, Sequence>,
    /// When each tenant was last cleared.
    tenants: HashMap<String, Sequence>,
    /// One line of invalidations for the whole store.
    pub(super) sequence: Sequence,
    version: u64,
    lease: u64,
    changes: broadcast::Sender<Invalidation>,
    sabotage: Option<Sabotage>,
}

impl State {
    pub(super) fn new(sabotage: Option<Sabotage>) -> Self {
        Self {
            entries: HashMap::new(),
            leases: HashMap::new(),
            tags: HashMap::new(),
            tagged: HashMap::new(),
            spaces: HashMap::new(),
            tenants: HashMap::new(),
            sequence: Sequence(0),
            version: 0,
            lease: 0,
            changes: broadcast::Sender::new(NaiveStore::STREAM_CAPACITY),
            sabotage,
        }
    }

    pub(super) fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Invalidation> {
        self.changes.subscribe()
    }

    /// Tells the subscribers, under the lock: so they hear of changes in the order in which they were made.
    pub(super) fn publish(&self, change: Invalidation) {
        if !self.is(Sabotage::PublishesNothing) {
            // There may be nobody to tell.
            let _ = self.changes.send(change);
        }
    }

    /// Returns the map key of an address: itself.
    pub(super) fn key(&self, address: &Address) -> Address {
        if self.is(Sabotage::MixesTenants) {
            let keyspace = KeyspaceName::new(address.keyspace()).expect("it was one");
            return Address::plain(&Space::new(None, &keyspace), address.name()).expect("it was one");
        }
        address.clone()
    }

    pub(super) fn next_version(&mut self, address: &Address) -> Version {
        if self.is(Sabotage::RestartsVersions) {
            return Version(self.entries.get(address).map_or(0, |kept| kept.entry.meta.version.0) + 1);
        }
        self.version += 1;
        Version(self.version)
    }

    /// Returns the entry of a key unless it was invalidated, whatever its age.
    pub(super) fn visible(&self, address: &Address) -> Option<&Kept> {
        self.entries.get(&self.key(address)).filter(|kept| !self.is_hidden(address, &kept.entry))
    }

    /// Returns the live value of a key: fresh, and not a negative record.
    pub(super) fn live(&self, address: &Address, now: Tick) -> Option<&Kept> {
        self.visible(address).filter(|kept| {
            let meta = &kept.entry.meta;
            let negative = meta.content.negative && !self.is(Sabotage::TakesNegativeForValue);
            self.freshness(&kept.entry, now, None) == Freshness::Fresh && !negative
        })
    }

    pub(super) fn freshness(&self, entry: &Entry, now: Tick, max_staleness: Option<Duration>) -> Freshness {
        match expiry::freshness(&entry.meta, now, max_staleness) {
            Freshness::Expired if self.is(Sabotage::ReturnsExpired) => Freshness::Fresh,
            Freshness::Stale if self.is(Sabotage::ForgetsGrace) => Freshness::Expired,
            judged => judged,
        }
    }

    fn is_hidden(&self, address: &Address, entry: &Entry) -> bool {
        let space = address.space();
        let sequence = entry.meta.sequence;
        let tagged = entry.meta.tags.as_slice().iter().any(|tag| self.tag(&space, tag) > sequence);
        (tagged && !self.is(Sabotage::IgnoresTags))
            || (self.floor(&space) > sequence && !self.is(Sabotage::IgnoresFloors))
    }

    fn tag(&self, space: &Space, tag: &Tag) -> Sequence {
        if self.is(Sabotage::LeaksTags) {
            let everywhere = self.tags.iter().filter(|((_, other), _)| other == tag);
            return everywhere.map(|(_, sequence)| *sequence).max().unwrap_or_default();
        }
        self.tags.get(&(space.clone(), tag.clone())).copied().unwrap_or_default()
    }

    /// Returns when the space was last cleared, by itself or with its tenant.
    fn floor(&self, space: &Space) -> Sequence {
        let own = self.spaces.get(space).copied().unwrap_or_default();
        let tenant = if self.is(Sabotage::ClearsEveryTenant) {
            self.tenants.values().max()
        } else {
            space.tenant().and_then(|tenant| self.tenants.get(tenant))
        };
        own.max(tenant.copied().unwrap_or_default())
    }

    /// Returns the lease that stands on a key: not ended, not aged out, and no clear came since it was granted.
    pub(super) fn standing(&self, address: &Address, now: Tick) -> Option<Held> {
        let held = self.leases.get(&self.key(address))?;
        let alive = now < held.until || self.is(Sabotage::NeverAgesLeases);
        let current = self.floor(&address.space()) <= held.lease.sequence || self.is(Sabotage::IgnoresFloorsOfLeases);
        (alive && current).then_some(*held)
    }

    /// Returns when the key's lease ages out.
    pub(super) fn lease_end(&self, address: &Address) -> Tick {
        let held = self.leases.get(&self.key(address)).filter(|_| !self.is(Sabotage::NeverAgesLeases));
        held.map_or(Tick::NEVER, |held| held.until)
    }

    /// Grants the lease of a key, also once more to who has named it; while another stands, its id if its load may be
    /// joined.
    pub(super) fn grant(&mut self, item: &GetItem, now: Tick) -> Result<Lease, Option<LeaseId>> {
        let address = &item.address;
        let asked = item.lease.filter(|_| !self.is(Sabotage::ForgetsWhoAsked));
        if let Some(held) = self.standing(address, now).filter(|held| asked == Some(held.lease.id)) {
            self.renew(address, held.lease.id, now);
            return Ok(held.lease);
        }
        if let Some(held) = self.standing(address, now).filter(|_| !self.is(Sabotage::GrantsToEverybody)) {
            let tagged = self.tagged.get(&address.space()).copied().unwrap_or_default();
            let joinable = tagged <= held.lease.sequence || self.is(Sabotage::JoinsAcrossInvalidation);
            return Err(joinable.then_some(held.lease.id));
        }
        self.lease += 1;
        let lease =
            Lease { id: asked.unwrap_or(LeaseId(self.lease)), sequence: self.sequence, ttl: NaiveStore::LEASE_TTL };
        self.leases.insert(self.key(address), Held { lease, until: now.after(lease.ttl) });
        Ok(lease)
    }

    pub(super) fn renew(&mut self, address: &Address, id: LeaseId, now: Tick) -> bool {
        let stands = self.standing(address, now).is_some_and(|held| held.lease.id == id);
        let key = self.key(address);
        if let Some(held) =
            self.leases.get_mut(&key).filter(|_| stands && self.sabotage != Some(Sabotage::IgnoresRenew))
        {
            held.until = now.after(held.lease.ttl);
        }
        stands
    }

    pub(super) fn end_lease(&mut self, address: &Address) {
        self.leases.remove(&self.key(address));
    }

    /// Hides what was written before now: one step, however much that is.
    pub(super) fn invalidate(&mut self, target: Target) -> Sequence {
        self.sequence.0 += 1;
        let sequence = self.sequence;
        match target.clone() {
            Target::Tag(space, tag) => {
                self.tagged.insert(space.clone(), sequence);
                self.tags.insert((space, tag), sequence);
            }
            Target::Space(space) => {
                self.spaces.insert(space, sequence);
            }
            Target::Tenant(tenant) => {
                self.tenants.insert(tenant.as_str().to_owned(), sequence);
            }
        }
        self.publish(match target {
            Target::Tag(space, tag) => Invalidation::Tag(space, tag, sequence),
            Target::Space(space) => Invalidation::Space(space, sequence),
            Target::Tenant(tenant) => Invalidation::Tenant(tenant, sequence),
        });
        sequence
    }
}
