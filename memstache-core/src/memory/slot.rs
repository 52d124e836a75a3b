//! One held entry, and what it is charged.

use crate::{
    accountant::Charge,
    address::{Address, Parts},
    entry::{Entry, Meta, Tags},
    request::LeaseId,
};

/// Bytes that an entry takes beside its key, its value and its tags' text.
///
/// The slot, its links in the wheel and the policy, its part of the hash table at the worst load, and for each of the
/// allocations of key and value a header and what an allocator rounds up.
pub(crate) const ENTRY_OVERHEAD: usize = size_of::<Option<Slot>>() + LINKS + INDEX + KEY_HEADER + VALUE_HEADER;
const LINKS: usize = 16 + 16;
const INDEX: usize = 12;
const KEY_HEADER: usize = 16 + 16;
const VALUE_HEADER: usize = 32 + 16;

/// An entry where it is held.
pub(crate) struct Slot {
    pub(crate) address: Address,
    pub(crate) hash: u64,
    pub(crate) entry: Entry,
    /// Up to where it is known that nothing hides the entry: a sequence, or whatever its owner counts by.
    pub(crate) checked: u64,
    /// The lease under which it was stored; leases are never zero.
    filled_by: u64,
}

impl Slot {
    /// Creates the slot of an entry; everything up to the entry's own sequence is known not to hide it.
    pub(crate) fn new(hash: u64, address: Address, entry: Entry, filled_by: Option<LeaseId>) -> Self {
        let checked = entry.meta.sequence.0;
        Self { address, hash, entry, checked, filled_by: filled_by.map_or(0, |lease| lease.0) }
    }

    /// Returns whether the entry was stored under a lease.
    pub(crate) fn was_filled_by(&self, lease: LeaseId) -> bool {
        self.filled_by != 0 && self.filled_by == lease.0
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.entry.meta
    }

    /// Returns what the entry takes.
    pub(crate) fn bytes(&self) -> usize {
        bytes_of(&self.address, self.entry.value.len(), &self.entry.meta.tags)
    }

    /// Returns what its tenant is charged for.
    pub(crate) fn charge(&self) -> Charge {
        Charge::entry(self.bytes())
    }
}

/// Returns what an entry takes: key, value, tags and overhead.
pub(crate) fn bytes_of(address: &Address, value: usize, tags: &Tags) -> usize {
    let parts = address.space_key().len() + address.name().len();
    let stored = if address.is_blind() { address.stored().len() + KEY_HEADER } else { 0 };
    let tags = if tags.is_empty() { 0 } else { tags.weight() + KEY_HEADER + 16 * tags.as_slice().len() };
    parts + stored + value + tags + ENTRY_OVERHEAD
}

/// By what an entry is looked up, without building an address.
pub(crate) trait Key {
    /// Returns whether the entry at `address` is meant.
    fn is(&self, address: &Address) -> bool;
}

impl Key for Address {
    fn is(&self, address: &Address) -> bool {
        self == address
    }
}

impl Key for Parts<'_> {
    fn is(&self, address: &Address) -> bool {
        self.matches(address)
    }
}
