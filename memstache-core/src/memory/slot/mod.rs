//! One held entry, as small as can be, and what it is charged.

mod cost;
mod held;
mod packed;
mod replaced;
mod small;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;

pub(crate) use self::{
    held::{Held, HeldMut},
    packed::Packed,
    replaced::Replaced,
    small::Small,
};
use self::{
    packed::TAIL,
    small::{FOREVER, OWN},
};
use super::{
    class::{Class, Own},
    key::Key,
};
use crate::{
    accountant::Charge,
    address::{Address, Space},
    clock::Tick,
    entry::Tags,
    expiry,
    version::Sequence,
};

/// Bytes that an entry takes beside its slot, its key, its value and its tags' text: links of the wheel and the policy,
/// its part of the hash table at the worst load, and for its value's allocation a header and what an allocator rounds up.
const BESIDE: usize = LINKS + INDEX + VALUE_HEADER;
const LINKS: usize = 8 + 16;
const INDEX: usize = 12;
const VALUE_HEADER: usize = 32 + 16;
/// A further allocation.
const HEADER: usize = 16 + 16;

/// What a hit needs of an entry: one cache line.
#[repr(align(64))]
pub(crate) struct Slot {
    /// The name, then the value; or the value only.
    blob: Bytes,
    class: Arc<Class>,
    /// Nothing up to here hides the entry; raised when it was looked at.
    sequence: AtomicU64,
    /// When it was written in the upper 48 bits, the length of the name in the blob in the lower 16.
    written: u64,
    /// Milliseconds from the write to the end of freshness.
    life: u32,
    pub(crate) hash: u32,
}

/// The rest of an entry; `X` is what its owner keeps beside it.
#[derive(Default)]
pub(crate) struct Rest<X> {
    /// The version in the upper 48 bits, what it cost to load in the lower 16: in halves, so that nothing is padded.
    version: [u32; 2],
    /// Milliseconds of grace.
    stale_for: u32,
    pub(crate) extra: X,
}

fn halves(whole: u64) -> [u32; 2] {
    [whole as u32, (whole >> 32) as u32]
}

fn whole([low, high]: [u32; 2]) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

impl<X: Default> Rest<X> {
    /// Keeps the deadline of an entry that went, in the place of its version.
    pub(crate) fn left(deadline: Tick) -> Self {
        Self { version: halves(deadline.as_millis()), ..Self::default() }
    }

    /// Returns the deadline of the entry that was here before, if that is known.
    pub(crate) fn deadline_left(&self) -> Option<Tick> {
        (self.version != [0, 0]).then(|| Tick::from_millis(whole(self.version)))
    }
}

/// An entry on its way in or out.
pub(crate) struct Whole<X = ()> {
    pub(crate) slot: Slot,
    pub(crate) rest: Rest<X>,
}

impl Slot {
    #[inline]
    fn name_len(&self) -> usize {
        self.written as u16 as usize
    }

    #[inline]
    fn own(&self) -> Option<&Own> {
        // The slot says it too: most hits need nothing else of the class here.
        if self.life == OWN { self.class.own.as_ref() } else { None }
    }

    pub(crate) fn class(&self) -> &Arc<Class> {
        &self.class
    }

    pub(crate) fn class_mut(&mut self) -> &mut Arc<Class> {
        &mut self.class
    }

    #[inline]
    pub(crate) fn space_key(&self) -> &[u8] {
        self.class.space.key()
    }

    pub(crate) fn space(&self) -> &Space {
        &self.class.space
    }

    pub(crate) fn tenant(&self) -> Option<&str> {
        self.class.space.tenant()
    }

    #[inline]
    pub(crate) fn name(&self) -> &[u8] {
        match self.own().and_then(|own| own.name.as_deref()) {
            Some(name) => name,
            None => &self.blob[..self.name_len()],
        }
    }

    /// Returns the key by which it is known below, if that is not the plain one.
    pub(crate) fn blind(&self) -> Option<&Arc<[u8]>> {
        self.own()?.stored.as_ref()
    }

    pub(crate) fn address(&self) -> Address {
        Address::from_parts(&self.class.space, self.name(), self.blind().cloned())
    }

    /// Returns whether this is the entry of `key`.
    #[inline(always)]
    pub(crate) fn is(&self, hash: u32, key: &impl Key) -> bool {
        self.hash == hash && is_named(self.name(), self.space_key(), key)
    }

    #[inline]
    pub(crate) fn value(&self) -> Bytes {
        if self.has_tail() { self.value_before_tail() } else { self.blob.slice(self.name_len()..) }
    }

    #[inline(never)]
    fn value_before_tail(&self) -> Bytes {
        self.blob.slice(self.name_len()..self.value_end())
    }

    fn value_end(&self) -> usize {
        self.blob.len() - if self.has_tail() { TAIL } else { 0 }
    }

    #[inline]
    fn has_tail(&self) -> bool {
        self.class.content.plain_len != 0
    }

    fn plain_len(&self) -> u64 {
        let value_end = self.value_end();
        match self.blob[value_end..].try_into() {
            Ok(tail) => u32::from_ne_bytes(tail).into(),
            Err(_) => (value_end - self.name_len()) as u64,
        }
    }

    #[inline]
    pub(crate) fn is_negative(&self) -> bool {
        self.class.content.negative
    }

    /// Returns up to where nothing hides the entry.
    #[inline]
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Relaxed)
    }

    /// Remembers that nothing up to `sequence` hides the entry.
    pub(crate) fn raise(&self, sequence: u64) {
        // Only ever higher, by whoever looked: all who do have seen that nothing hides it.
        self.sequence.fetch_max(sequence, Relaxed);
    }

    pub(crate) fn tags(&self) -> &Tags {
        const NONE: &Tags = &Tags::NONE;
        self.own().map_or(NONE, |own| &own.meta.tags)
    }

    #[inline]
    pub(crate) fn fresh_until(&self) -> Tick {
        match self.life {
            FOREVER => Tick::NEVER,
            OWN => self.own().map_or(Tick::NEVER, |own| own.meta.fresh_until),
            life => Tick::from_millis((self.written >> 16) + u64::from(life)),
        }
    }

    /// Returns whether reads extend its freshness.
    #[cfg(feature = "near")]
    pub(crate) fn slides(&self) -> bool {
        self.own().is_some_and(|own| own.meta.sliding.is_some())
    }

    /// Returns the new end of freshness if a read at `now` extends it.
    #[inline]
    pub(crate) fn extended(&self, now: Tick) -> Option<Tick> {
        expiry::extended(&self.own()?.meta, now)
    }
}

impl<X> Whole<X> {
    /// What a slot takes, in use or not.
    pub(crate) const BYTES: usize = size_of::<Option<Slot>>() + size_of::<Rest<X>>();
    /// What an entry takes beside its key, its value and its tags.
    pub(crate) const OVERHEAD: usize = Self::BYTES + BESIDE;

    /// Creates an entry; everything up to its own sequence is known not to hide it.
    pub(crate) fn new(
        hash: u32,
        class: Arc<Class>,
        packed: Packed,
        small: Option<Small>,
        sequence: Sequence,
        extra: X,
    ) -> Self {
        let small = small.unwrap_or(Small { version: 0, written: 0, life: OWN, stale_for: 0 });
        let slot = Slot {
            blob: packed.blob,
            class,
            sequence: AtomicU64::new(sequence.0),
            written: small.written | packed.name_len,
            life: small.life,
            hash,
        };
        let rest = Rest { version: halves(small.version), stale_for: small.stale_for, extra };
        Self { slot, rest }
    }

    pub(crate) fn held(&self) -> Held<'_, X> {
        Held::new(&self.slot, &self.rest)
    }

    /// Returns what the entry takes.
    pub(crate) fn bytes(&self) -> usize
    where
        X: Extra,
    {
        self.held().bytes()
    }

    /// Returns what its tenant is charged for.
    pub(crate) fn charge(&self) -> Charge
    where
        X: Extra,
    {
        Charge::entry(self.bytes())
    }
}

/// What an owner keeps beside each of its entries.
pub(crate) trait Extra: Default + Send + Sync {
    /// Returns what it takes beside the slot.
    fn bytes(&self) -> usize;
}

impl Extra for () {
    fn bytes(&self) -> usize {
        0
    }
}

/// Returns whether an entry of this name and space is that of `key`.
#[inline(always)]
pub(crate) fn is_named(name: &[u8], space_key: &[u8], key: &impl Key) -> bool {
    same_name(name, key.name()) && same(space_key, key.space_key())
}

/// Compares the keys of two spaces, which mostly are one and the same.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (std::ptr::eq(a.as_ptr(), b.as_ptr()) || a == b)
}

/// Compares two names; of 8 to 16 bytes without the call that compares longer ones, which costs more than they do.
#[inline(always)]
fn same_name(a: &[u8], b: &[u8]) -> bool {
    if a.len() == b.len()
        && a.len() <= 16
        && let (Some(a), Some(b)) = (words(a), words(b))
    {
        return a == b;
    }
    a == b
}

/// Returns the first and the last eight bytes, which may overlap.
#[inline(always)]
fn words(name: &[u8]) -> Option<(u64, u64)> {
    Some((u64::from_ne_bytes(*name.first_chunk()?), u64::from_ne_bytes(*name.last_chunk()?)))
}

/// Returns what an entry takes: key, value, tags and overhead; `own` if it has its class for itself.
pub(crate) fn bytes_of<X>(name: usize, stored: usize, value: usize, tags: &Tags, own: bool) -> usize {
    let stored = if stored == 0 { 0 } else { stored + HEADER };
    let tags = if tags.is_empty() { 0 } else { tags.weight() + HEADER + 16 * tags.as_slice().len() };
    let own = if own { size_of::<Class>() + HEADER + HEADER } else { 0 };
    name + stored + value + tags + own + Whole::<X>::OVERHEAD
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::same_name;

    proptest! {
        #[test]
        fn names_are_compared_as_slices_are(a in prop::collection::vec(0_u8..3, 0..40), at in any::<usize>(), cut in 0_usize..3) {
            let mut b = a.clone();
            prop_assert!(same_name(&a, &b));
            b.truncate(a.len() - cut.min(a.len()));
            prop_assert_eq!(same_name(&a, &b), a == b);
            if let Some(at) = at.checked_rem(b.len()) {
                b[at] ^= 1;
                prop_assert!(!same_name(&a, &b));
            }
        }
    }
}
