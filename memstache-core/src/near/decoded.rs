//! A value that is kept decoded, with all that a hit asks of its copy.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::shard::Shard;
use crate::{
    clock::Tick,
    memory::{Class, Hashed, Key, SlotId, is_named, wide},
    service::DecodedAs,
};

/// The longest name that stands in the line.
const SHORT: usize = 16;
/// How many bits of the end of freshness there is room for.
const BITS: u32 = 48;

/// What is shared among those who asked for it.
pub(super) type Value = Arc<dyn Any + Send + Sync>;

/// A value that was decoded from a copy, for as long as that copy is held: one cache line.
#[repr(align(64))]
pub(super) struct Decoded {
    value: Value,
    class: Arc<Class>,
    /// Up to which invalidation it is known that none hides the copy.
    checked: AtomicU64,
    /// Until when it is fresh in the upper 48 bits, the length of the name in the lower 16.
    life: u64,
    /// The name, if it is as short as that.
    name: [u8; SHORT],
    pub(super) copy: SlotId,
    hash: u32,
}

impl Decoded {
    /// What one takes, with its part of the hash table at the worst load.
    pub(super) const BYTES: usize = (size_of::<Self>() + 1) * 16 / 7 + 1;

    /// Makes it of a copy that is in the shard.
    pub(super) fn new(shard: &Shard, copy: SlotId, value: Value) -> Option<Self> {
        let slot = shard.get(copy)?;
        // What each read extends is answered by the copy.
        let fresh_until = if slot.slides() { 0 } else { slot.fresh_until().as_millis().min((1 << BITS) - 1) };
        let (full, mut name) = (slot.name(), [0; SHORT]);
        if let Some(short) = name.get_mut(..full.len()) {
            short.copy_from_slice(full);
        }
        Some(Self {
            value,
            class: Arc::clone(slot.class()),
            checked: AtomicU64::new(slot.extra().checked.load(Relaxed)),
            life: fresh_until << (64 - BITS) | full.len() as u64,
            name,
            copy,
            hash: slot.hash,
        })
    }

    /// Returns the hash for the table.
    pub(super) fn wide(&self) -> u64 {
        wide(self.hash)
    }

    #[inline(always)]
    pub(super) fn has(&self, hash: Hashed) -> bool {
        self.hash == hash.short
    }

    /// Returns whether it is the value of `key`, whose hash it has.
    #[inline(always)]
    pub(super) fn is(&self, key: &impl Key, shard: &Shard) -> bool {
        match self.name.get(..self.life as u16 as usize) {
            Some(name) => is_named(name, self.class.space.key(), key),
            None => shard.slot(self.copy).is_some_and(|slot| is_named(slot.name(), slot.space_key(), key)),
        }
    }

    /// Returns whether it is fresh and nothing of `noted` invalidations hides it; `false` if only the copy can tell.
    #[inline(always)]
    pub(super) fn is_sure(&self, noted: u64, now: Tick) -> bool {
        self.checked.load(Relaxed) == noted && now.as_millis() < self.life >> (64 - BITS)
    }

    /// Remembers what was found out about its copy.
    pub(super) fn raise(&self, checked: u64) {
        // Only ever higher: readers share the lock, and one may be late.
        self.checked.fetch_max(checked, Relaxed);
    }

    /// Returns the value, if it is what is wanted.
    #[inline(always)]
    pub(super) fn value(&self, wanted: &DecodedAs) -> Option<Value> {
        let is_wanted = (*self.value).type_id() == wanted.type_id && wanted.is_of(&self.class.content);
        is_wanted.then(|| Arc::clone(&self.value))
    }
}

// A hit takes one line of the cache beside the value itself.
const _: () = assert!(size_of::<Decoded>() == 64);
