//! The standing leases of one shard.

use std::collections::VecDeque;

use hashbrown::HashTable;
use tokio::sync::watch;

use super::{
    key::{Hashed, Key},
    slab::Slab,
    wheel::Wheel,
};
use crate::{address::Address, clock::Tick, request::LeaseId, version::Version};

/// Fills that are remembered, to recognise one that is sent again.
const FILLS: usize = 128;

/// At most one standing lease a key; pure but for the wake-ups.
///
/// Who takes a lease out drops it after the shard's lock is released: dropping wakes those who wait for its end.
pub(crate) struct Leases {
    index: HashTable<u32>,
    slots: Slab<Standing>,
    wheel: Wheel,
    /// The last leases that were filled, and what their values became.
    filled: VecDeque<(LeaseId, Version)>,
}

/// A lease that was granted and has not ended.
pub(crate) struct Standing {
    address: Address,
    hash: Hashed,
    pub(crate) id: LeaseId,
    /// The sequence when it was granted.
    pub(crate) sequence: u64,
    /// When it ages out unless it is renewed.
    pub(crate) until: Tick,
    /// Made when somebody waits; its end is the lease's end.
    ended: Option<watch::Sender<()>>,
}

/// Somebody else's lease, to be waited for.
pub(crate) struct Waiter {
    pub(crate) id: LeaseId,
    /// Fails once the lease has ended.
    pub(crate) ended: watch::Receiver<()>,
    /// When the lease ages out unless it is renewed meanwhile.
    pub(crate) until: Tick,
}

impl Leases {
    pub(crate) fn new() -> Self {
        Self { index: HashTable::new(), slots: Slab::new(), wheel: Wheel::new(), filled: VecDeque::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the lease on a key, which may have aged out.
    pub(crate) fn get(&self, hash: Hashed, key: &impl Key) -> Option<&Standing> {
        if self.slots.len() == 0 {
            return None;
        }
        self.slots.get(self.find(hash, key)?)
    }

    /// Grants a lease on a key that has none.
    pub(crate) fn grant(&mut self, hash: Hashed, address: Address, id: LeaseId, sequence: u64, until: Tick) {
        let (at, ()) = self.slots.insert(Standing { address, hash, id, sequence, until, ended: None }, ());
        let slots = &self.slots;
        self.index.insert_unique(hash.wide(), at, |at| slots.get(*at).map_or(0, |lease| lease.hash.wide()));
        self.wheel.set(at, until);
    }

    /// Lets a lease age out later.
    pub(crate) fn renew(&mut self, hash: Hashed, address: &Address, until: Tick) {
        if let Some(at) = self.find(hash, address)
            && let Some(lease) = self.slots.both_mut(at).map(|(lease, ())| lease)
        {
            lease.until = until;
            self.wheel.set(at, until);
        }
    }

    /// Takes the lease on a key out.
    pub(crate) fn end(&mut self, hash: Hashed, key: &impl Key) -> Option<Standing> {
        if self.slots.len() == 0 {
            return None;
        }
        let at = self.find(hash, key)?;
        self.take(at)
    }

    /// Remembers what was stored under a lease.
    pub(crate) fn fill(&mut self, id: LeaseId, version: Version) {
        if self.filled.len() == FILLS {
            self.filled.pop_front();
        }
        self.filled.push_back((id, version));
    }

    /// Returns what was stored under a lease, if that was not long ago.
    pub(crate) fn filled(&self, id: LeaseId) -> Option<Version> {
        self.filled.iter().rev().find(|(filled, _)| *filled == id).map(|(_, version)| *version)
    }

    /// Returns whether no lease can have aged out yet.
    #[inline]
    pub(crate) fn is_idle(&self, now: Tick) -> bool {
        self.wheel.is_idle(now)
    }

    /// Takes out a lease that has aged out; each one looked at costs one of `steps`.
    pub(crate) fn pop_aged(&mut self, now: Tick, steps: &mut usize) -> Option<Standing> {
        let slots = &self.slots;
        let at = self.wheel.pop(now, steps, |at| slots.get(at).map_or(Tick::NEVER, |lease| lease.until))?;
        self.take(at)
    }

    /// Takes out the leases on keys that are not to be kept, as stores know them.
    pub(crate) fn take_unless(&mut self, keep: impl Fn(&[u8]) -> bool) -> Vec<Standing> {
        let gone = |at: &u32| self.slots.get(*at).is_some_and(|lease| !keep(lease.address.stored()));
        let gone: Vec<u32> = (0..self.slots.end()).filter(gone).collect();
        gone.into_iter().filter_map(|at| self.take(at)).collect()
    }

    /// Waits for the end of the lease on a key.
    pub(crate) fn wait(&mut self, hash: Hashed, address: &Address) -> Option<Waiter> {
        let at = self.find(hash, address)?;
        let (lease, ()) = self.slots.both_mut(at)?;
        let ended = lease.ended.get_or_insert_with(|| watch::Sender::new(())).subscribe();
        Some(Waiter { id: lease.id, ended, until: lease.until })
    }

    fn find(&self, hash: Hashed, key: &impl Key) -> Option<u32> {
        let is = |address: &Address| address.name() == key.name() && address.space_key() == key.space_key();
        let same = |at: &u32| self.slots.get(*at).is_some_and(|lease| is(&lease.address));
        self.index.find(hash.wide(), same).copied()
    }

    fn take(&mut self, at: u32) -> Option<Standing> {
        let (lease, ()) = self.slots.remove(at, |_, ()| ())?;
        if let Ok(found) = self.index.find_entry(lease.hash.wide(), |held| *held == at) {
            found.remove();
        }
        self.wheel.remove(at);
        Some(lease)
    }
}
