//! What a node of a cluster needs when its part of the keys changes, and when others number the invalidations.

use std::sync::atomic::Ordering;

use super::{
    MemoryStore,
    policy::{EvictionPolicy, RemovalCause, SlotId},
    shared::{Shard, Shared},
    slot::Slot,
};
use crate::{address::Address, request::Target, version::Sequence};

/// Entries looked at under one lock.
const STEPS: u32 = 256;

impl<P: EvictionPolicy> MemoryStore<P> {
    /// Drops every entry, and ends every lease, whose stored key `keep` does not keep; returns how many entries went.
    ///
    /// For a node that answers for a part of the keys only, when that part changes. It looks at every entry once, some at a
    /// time: what is written meanwhile may be passed over, so whoever calls it takes no writes of what is to go. A fill
    /// under a lease that was ended is refused. Subscribers are told of each entry.
    ///
    /// ```
    /// use memstache_core::{KeyspaceName, Lifetime, MemoryStore, NewEntry, Parts, Space};
    ///
    /// let store = MemoryStore::builder().max_bytes(16 << 20).build()?;
    /// let space = Space::new(None, &KeyspaceName::new("products")?);
    /// for name in ["tea", "coffee"] {
    ///     store.set_now(&Parts::new(&space, name.as_bytes())?, NewEntry::new("hot", Lifetime::UNLIMITED))?;
    /// }
    /// assert_eq!(store.retain(|stored| stored.ends_with(b":tea")), 1);
    /// assert_eq!(store.stats().entries, 1);
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn retain(&self, keep: impl Fn(&[u8]) -> bool) -> usize {
        (0..self.shared.shards.len()).map(|at| self.shared.retain_in(at, &keep)).sum()
    }

    /// Returns the addresses of entries whose stored key is wanted, at most so many, in no order.
    ///
    /// For a node that hands over what it holds. It looks at every entry once, some at a time: of what comes and goes meanwhile
    /// some are returned and some are not. Some may have expired.
    ///
    /// ```
    /// use memstache_core::{KeyspaceName, Lifetime, MemoryStore, NewEntry, Parts, Space};
    ///
    /// let store = MemoryStore::builder().max_bytes(16 << 20).build()?;
    /// let space = Space::new(None, &KeyspaceName::new("products")?);
    /// for name in ["tea", "coffee"] {
    ///     store.set_now(&Parts::new(&space, name.as_bytes())?, NewEntry::new("hot", Lifetime::UNLIMITED))?;
    /// }
    /// let found = store.addresses(|stored| stored.ends_with(b"tea"), 10);
    /// assert_eq!(found.iter().map(|address| address.name()).collect::<Vec<_>>(), [b"tea"]);
    /// assert_eq!(store.addresses(|_| true, 1).len(), 1);
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn addresses(&self, wanted: impl Fn(&[u8]) -> bool, most: usize) -> Vec<Address> {
        let mut found = Vec::new();
        for at in 0..self.shared.shards.len() {
            let mut next = Some(0);
            while let Some(from) = next.filter(|_| found.len() < most) {
                next = self.shared.addresses_in(at, from, &wanted, &mut found);
            }
        }
        found.truncate(most);
        found
    }

    /// Invalidates a target under a number that somebody else gives, as the home of a space does for all nodes.
    ///
    /// Hides what was written or leased before, as [`Invalidate`](crate::Invalidate) does. The error is the current
    /// sequence, if that is not below `at`: entries may bear it already, and `at` would not hide them.
    pub fn invalidate_at(&self, target: &Target, at: Sequence) -> Result<(), Sequence> {
        self.shared.invalidate_at(target, at)?;
        self.shared.keep_swept();
        Ok(())
    }

    /// Hides everything that was written or leased before, of all tenants and keyspaces, under a number that somebody else
    /// gives; O(1). Subscribers are told of a gap.
    ///
    /// The error is the current sequence, if that is not below `at`: what bears it already is not hidden, what is older is.
    ///
    /// ```
    /// use memstache_core::{KeyspaceName, Lifetime, MemoryStore, NewEntry, Parts, Sequence, Space};
    ///
    /// let store = MemoryStore::builder().max_bytes(16 << 20).build()?;
    /// let space = Space::new(None, &KeyspaceName::new("products")?);
    /// let tea = Parts::new(&space, b"tea")?;
    /// store.set_now(&tea, NewEntry::new("hot", Lifetime::UNLIMITED))?;
    /// assert_eq!(store.clear_at(Sequence(7)), Ok(()));
    /// assert_eq!((store.get_now(&tea), store.sequence()), (None, Sequence(7)));
    /// # Ok::<(), memstache_core::Error>(())
    /// ```
    pub fn clear_at(&self, at: Sequence) -> Result<(), Sequence> {
        let cleared = self.shared.clear_at(at);
        self.shared.keep_swept();
        cleared
    }

    /// Returns the sequence under which entries are written now: that of the last invalidation of whatever target.
    pub fn sequence(&self) -> Sequence {
        Sequence(self.shared.lines.current())
    }

    /// Goes on from a later sequence; nothing is hidden by it. An earlier one changes nothing.
    ///
    /// For a node that joins others whose sequence has come further.
    pub fn raise_sequence(&self, to: Sequence) {
        self.shared.lines.raise(to.0);
    }
}

impl<P: EvictionPolicy> Shared<P> {
    /// Looks at some entries under one lock; returns where to go on.
    fn addresses_in(
        &self,
        at: usize,
        from: u32,
        wanted: &impl Fn(&[u8]) -> bool,
        found: &mut Vec<Address>,
    ) -> Option<u32> {
        let shard = self.shards[at].read();
        let (end, until) = (shard.table.end().0, from.saturating_add(STEPS));
        let mut stored = Vec::new();
        for slot in (from..end.min(until)).filter_map(|id| shard.table.slot(SlotId(id))) {
            if is_kept(slot, &mut stored, wanted) {
                found.push(slot.address());
            }
        }
        (until < end).then_some(until)
    }

    fn retain_in(&self, at: usize, keep: &impl Fn(&[u8]) -> bool) -> usize {
        // First, so that no load that began before fills what was looked at already.
        let ended = self.shards[at].write().leases.take_unless(keep);
        self.standing.fetch_sub(ended.len(), Ordering::Relaxed);
        drop(ended);
        let (mut next, mut count) = (0, 0);
        while let Some(after) = self.retain_piece(at, next, keep, &mut count) {
            next = after;
        }
        count
    }

    /// Looks at some entries under one lock; returns where to go on.
    fn retain_piece(&self, at: usize, from: u32, keep: &impl Fn(&[u8]) -> bool, count: &mut usize) -> Option<u32> {
        // Declared before the guard: dropping a value may be somebody else's code.
        let mut dropped = Vec::new();
        let mut guard = self.shards[at].write();
        let shard: &mut Shard<P> = &mut guard;
        let (end, until) = (shard.table.end().0, from.saturating_add(STEPS));
        let mut stored = Vec::new();
        for id in (from..end.min(until)).map(SlotId) {
            if shard.table.slot(id).is_some_and(|slot| !is_kept(slot, &mut stored, keep)) {
                dropped.extend(self.take_out(shard, id, RemovalCause::Removed));
                shard.counters.removed += 1;
            }
        }
        drop(guard);
        dropped.iter().for_each(|entry| self.events.changed(|| entry.slot.address()));
        *count += dropped.len();
        (until < end).then_some(until)
    }
}

/// Asks for one entry; `stored` is room for its key.
fn is_kept(slot: &Slot, stored: &mut Vec<u8>, keep: &impl Fn(&[u8]) -> bool) -> bool {
    if let Some(blind) = slot.blind() {
        return keep(blind);
    }
    stored.clear();
    stored.extend_from_slice(slot.space_key());
    stored.extend_from_slice(slot.name());
    keep(stored)
}
