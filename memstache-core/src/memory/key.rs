//! By what an entry is looked up and put in, without building an address.

use std::{
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use foldhash::fast::RandomState;

use crate::address::{Address, Parts, Space};

/// The two parts by which an entry is told from all others.
pub(crate) trait Key: Hash {
    /// Returns `tenant:keyspace:`.
    fn space_key(&self) -> &[u8];
    fn name(&self) -> &[u8];
}

/// A key with all that is kept of an address.
pub(crate) trait Place: Key {
    fn space(&self) -> Space;
    /// Returns the key by which it is known below, if that is not the plain one.
    fn blind(&self) -> Option<&Arc<[u8]>>;
    fn tenant(&self) -> Option<&str>;
    fn address(&self) -> Address;
}

impl Key for Address {
    fn space_key(&self) -> &[u8] {
        self.space_key()
    }

    fn name(&self) -> &[u8] {
        self.name()
    }
}

impl Place for Address {
    fn space(&self) -> Space {
        self.space()
    }

    fn blind(&self) -> Option<&Arc<[u8]>> {
        self.is_blind().then(|| self.stored())
    }

    fn tenant(&self) -> Option<&str> {
        self.tenant()
    }

    fn address(&self) -> Address {
        self.clone()
    }
}

impl<K: Place> Place for &K {
    fn space(&self) -> Space {
        (*self).space()
    }

    fn blind(&self) -> Option<&Arc<[u8]>> {
        (*self).blind()
    }

    fn tenant(&self) -> Option<&str> {
        (*self).tenant()
    }

    fn address(&self) -> Address {
        (*self).address()
    }
}

impl<K: Key> Key for &K {
    fn space_key(&self) -> &[u8] {
        (*self).space_key()
    }

    fn name(&self) -> &[u8] {
        (*self).name()
    }
}

impl Key for Parts<'_> {
    fn space_key(&self) -> &[u8] {
        self.space().key()
    }

    fn name(&self) -> &[u8] {
        self.name()
    }
}

impl Place for Parts<'_> {
    fn space(&self) -> Space {
        Parts::space(self).clone()
    }

    fn blind(&self) -> Option<&Arc<[u8]>> {
        None
    }

    fn tenant(&self) -> Option<&str> {
        Parts::space(self).tenant()
    }

    fn address(&self) -> Address {
        Address::from_parts(Parts::space(self), self.name(), None)
    }
}

/// A key's hash, taken once: it chooses the shard and finds the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashed {
    /// What a slot keeps of it.
    pub(crate) short: u32,
    lane: u32,
}

impl Hashed {
    #[inline]
    #[expect(clippy::manual_hash_one, reason = "that is a call, on the way of each hit")]
    pub(crate) fn new(hasher: &RandomState, key: &impl Hash) -> Self {
        let mut state = hasher.build_hasher();
        key.hash(&mut state);
        let hash = state.finish();
        Self { short: (hash >> 32) as u32, lane: hash as u32 }
    }

    /// Returns the shard among a power of two of them.
    #[inline]
    pub(crate) fn shard(self, shards: usize) -> usize {
        self.lane as usize & (shards - 1)
    }

    /// Returns the hash for tables and policies.
    #[inline]
    pub(crate) fn wide(self) -> u64 {
        wide(self.short)
    }
}

/// Spreads 32 bits over 64: tables use the lowest and the highest ones.
#[inline]
pub(crate) fn wide(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
