//! A value that is kept decoded, with all that a hit asks of its copy.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::shard::Entries;
use crate::{
    clock::Tick,
    memory::{Class, Key, SlotId, is_named},
    service::DecodedAs,
};

/// The longest name that stands in the line.
const SHORT: usize = 22;
/// By how many bits of a tick the end of freshness is rounded down, so that four bytes hold the ticks of 34 years.
const ROUNDED: u32 = 8;

/// What is shared among those who asked for it.
pub(super) type Value = Arc<dyn Any + Send + Sync>;

/// A value that was decoded from a copy, for as long as that copy is held: one cache line.
#[repr(align(64))]
pub(super) struct Decoded {
    value: Value,
    class: Arc<Class>,
    /// Up to which invalidation it is known that none hides the copy.
    checked: AtomicU64,
    name: Name,
    pub(super) copy: SlotId,
    /// Until when it is surely fresh, rounded down; what is fresh for longer than can be said here is so by its copy.
    fresh_until: u32,
}

enum Name {
    Short { len: u8, text: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Decoded {
    /// What one takes, with its part of the hash table at the worst load.
    const BYTES: usize = (size_of::<Self>() + 1) * 16 / 7 + 1;

    /// Returns what one of an entry of this name takes beside its value.
    pub(super) fn bytes(name: &[u8]) -> usize {
        Self::BYTES + if name.len() > SHORT { name.len() } else { 0 }
    }

    /// Makes it of a copy.
    pub(super) fn new(copies: &Entries, copy: SlotId, value: Value) -> Option<Self> {
        let slot = copies.get(copy)?;
        // What each read extends is answered by the copy.
        let fresh_until = if slot.slides() { 0 } else { slot.fresh_until().as_millis() >> ROUNDED };
        Some(Self {
            value,
            class: Arc::clone(slot.class()),
            checked: AtomicU64::new(slot.extra().checked.load(Relaxed)),
            name: Name::new(slot.name()),
            copy,
            fresh_until: u32::try_from(fresh_until).unwrap_or(u32::MAX),
        })
    }

    /// Returns whether it is the value of `key`.
    #[inline(always)]
    pub(super) fn is(&self, key: &impl Key) -> bool {
        is_named(self.name.bytes(), self.class.asked_key(), key)
    }

    /// Returns whether it is fresh and nothing of `noted` invalidations hides it; `false` if only the copy can tell.
    #[inline(always)]
    pub(super) fn is_sure(&self, noted: u64, now: Tick) -> bool {
        self.checked.load(Relaxed) == noted && now.as_millis() < u64::from(self.fresh_until) << ROUNDED
    }

    /// Remembers what was found out about its copy.
    pub(super) fn raise(&self, checked: u64) {
        // Only ever higher: readers share the lock, and one may be late.
        self.checked.fetch_max(checked, Relaxed);
    }

    /// Returns the value, if it was decoded as is wanted; of what type it is, who takes it asks.
    #[inline(always)]
    pub(super) fn value(&self, wanted: DecodedAs) -> Option<&Value> {
        wanted.is_of(&self.class.content).then_some(&self.value)
    }
}

impl Name {
    fn new(name: &[u8]) -> Self {
        let mut text = [0; SHORT];
        match text.get_mut(..name.len()) {
            Some(short) => {
                short.copy_from_slice(name);
                Self::Short { len: name.len() as u8, text }
            }
            None => Self::Long(name.into()),
        }
    }

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        match self {
            // Never longer than the text.
            Self::Short { len, text } => text.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(name) => name,
        }
    }
}

// A hit takes one line of the cache beside the value itself, and its name if that is long.
const _: () = assert!(size_of::<Decoded>() == 64);
