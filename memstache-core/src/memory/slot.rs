//! One held entry, as small as can be, and what it is charged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{
    class::{Class, Own},
    key::Key,
};
#[cfg(feature = "near")]
use crate::address::Address;
use crate::{
    accountant::Charge,
    clock::{Tick, millis},
    entry::{Content, Entry, Meta, NewEntry, Tags},
    expiry,
    lifetime::Lifetime,
    version::{Sequence, Version},
};

/// Values up to this length are kept in one allocation with their names; larger ones are not copied.
const JOINED: usize = 4096;

/// Bytes that an entry takes beside its slot, its key, its value and its tags' text: links of the wheel and the policy,
/// its part of the hash table at the worst load, and for its value's allocation a header and what an allocator rounds up.
const BESIDE: usize = LINKS + INDEX + VALUE_HEADER;
const LINKS: usize = 8 + 16;
const INDEX: usize = 12;
const VALUE_HEADER: usize = 32 + 16;
/// A further allocation.
const HEADER: usize = 16 + 16;

/// Says in `life` that an entry has no end.
const FOREVER: u32 = u32::MAX;
/// Says in `life` that the class knows.
const OWN: u32 = u32::MAX - 1;

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

/// What is left of an entry that was replaced, to be dropped once the lock is free.
pub(crate) struct Replaced<X = ()> {
    /// What the entry took.
    pub(crate) bytes: usize,
    _blob: Bytes,
    _class: Option<Arc<Class>>,
    _extra: X,
}

/// An entry where it is held.
pub(crate) struct Held<'a, X = ()> {
    slot: &'a Slot,
    rest: &'a Rest<X>,
}

/// A name and a value on their way into a slot, put together outside of all locks.
pub(crate) struct Packed {
    blob: Bytes,
    /// Zero if the name does not stand before the value. As wide as a register: written by halves and read as a whole, it
    /// would wait for all that was written before.
    name_len: u64,
    /// Whether the plain length stands behind the value, in [`TAIL`] bytes: only where it is another.
    tail: bool,
}

/// How many bytes a plain length takes that is not the value's.
const TAIL: usize = size_of::<u32>();

impl Packed {
    pub(crate) fn new(name: &[u8], value: Bytes, content: &Content) -> Self {
        if value.len() > JOINED {
            return Self { blob: value, name_len: 0, tail: false };
        }
        let tail = u32::try_from(content.plain_len).ok().filter(|plain_len| *plain_len as usize != value.len());
        let mut blob = Vec::with_capacity(name.len() + value.len() + tail.map_or(0, |_| TAIL));
        blob.extend_from_slice(name);
        blob.extend_from_slice(&value);
        blob.extend(tail.iter().flat_map(|plain_len| plain_len.to_ne_bytes()));
        let name_len = u16::try_from(name.len()).expect("names are short").into();
        Self { blob: blob.into(), name_len, tail: tail.is_some() }
    }

    /// Returns the part of a content that entries share.
    pub(crate) fn common(&self, content: &Content) -> Content {
        Content { plain_len: self.tail.into(), ..*content }
    }

    /// Returns how many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.blob.len()
    }

    /// Returns whether the name stands before the value.
    pub(crate) fn is_joined(&self) -> bool {
        self.name_len > 0
    }
}

/// What a slot has room for of a [`Meta`].
#[derive(Clone, Copy)]
pub(crate) struct Small {
    version: u64,
    written: u64,
    life: u32,
    stale_for: u32,
}

impl Small {
    /// Returns `None` if something of it would be lost.
    pub(crate) fn new(meta: &Meta) -> Option<Self> {
        if !meta.tags.is_empty() || meta.sliding.is_some() || meta.fresh_until != meta.hard_until {
            return None;
        }
        let life = match meta.fresh_until {
            Tick::NEVER => None,
            until => Some(until.as_millis().checked_sub(meta.written_at.as_millis())?),
        };
        let small = Self::from_parts(meta.written_at, life, meta.stale_for, meta.load_cost, &meta.content)?;
        let version = within(meta.version.0, 48)? << 16 | small.version;
        Some(Self { version, ..small })
    }

    /// Makes the same of a new entry without the detour; the version is to be stamped.
    pub(crate) fn of_new(entry: &NewEntry, now: Tick) -> Option<Self> {
        if !entry.tags.is_empty() || entry.lifetime.sliding().is_some() {
            return None;
        }
        let (life, grace) = (entry.lifetime.ttl().map(millis), entry.lifetime.stale_for());
        Self::from_parts(now, life, grace, entry.load_cost, &entry.content)
    }

    #[inline]
    fn from_parts(
        written_at: Tick,
        life: Option<u64>,
        stale_for: Duration,
        load_cost: Duration,
        content: &Content,
    ) -> Option<Self> {
        // What the tail has no room for.
        u32::try_from(content.plain_len).ok()?;
        let life = match life {
            None => FOREVER,
            Some(life) => u32::try_from(life).ok().filter(|life| *life < OWN)?,
        };
        let grace = if stale_for.is_zero() { 0 } else { u32::try_from(millis(stale_for)).ok()? };
        (grace == 0 || Duration::from_millis(grace.into()) == stale_for).then_some(())?;
        Some(Self {
            version: if load_cost.is_zero() { 0 } else { cost::to_bits(load_cost)?.into() },
            written: within(written_at.as_millis(), 48)? << 16,
            life,
            stale_for: grace,
        })
    }

    /// Gives it another version, one that a store of this process counted: those have 48 bits.
    pub(crate) fn stamp(&mut self, version: Version) {
        self.version = version.0 << 16 | self.version & 0xffff;
    }
}

fn within(number: u64, bits: u32) -> Option<u64> {
    (number >> bits == 0).then_some(number)
}

impl Slot {
    fn name_len(&self) -> usize {
        self.written as u16 as usize
    }

    fn own(&self) -> Option<&Own> {
        self.class.own.as_ref()
    }

    pub(crate) fn class(&self) -> &Arc<Class> {
        &self.class
    }

    pub(crate) fn class_mut(&mut self) -> &mut Arc<Class> {
        &mut self.class
    }

    pub(crate) fn space_key(&self) -> &[u8] {
        self.class.space.key()
    }

    pub(crate) fn tenant(&self) -> Option<&str> {
        self.class.space.tenant()
    }

    pub(crate) fn name(&self) -> &[u8] {
        match self.own().and_then(|own| own.name.as_deref()) {
            Some(name) => name,
            None => &self.blob[..self.name_len()],
        }
    }

    /// Returns the key by which it is known below, if that is not the plain one.
    #[cfg(feature = "near")]
    pub(crate) fn blind(&self) -> Option<&Arc<[u8]>> {
        self.own()?.stored.as_ref()
    }

    #[cfg(feature = "near")]
    pub(crate) fn address(&self) -> Address {
        Address::from_parts(&self.class.space, self.name(), self.blind().cloned())
    }

    /// Returns whether this is the entry of `key`.
    pub(crate) fn is(&self, hash: u32, key: &impl Key) -> bool {
        self.hash == hash && self.name() == key.name() && same(self.space_key(), key.space_key())
    }

    pub(crate) fn value(&self) -> Bytes {
        self.blob.slice(self.name_len()..self.value_end())
    }

    fn value_end(&self) -> usize {
        self.blob.len() - if self.has_tail() { TAIL } else { 0 }
    }

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

    /// Returns what is known of the content; what stands for its plain length only says whether the value has a tail.
    #[cfg(feature = "near")]
    pub(crate) fn common(&self) -> &Content {
        &self.class.content
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.class.content.negative
    }

    /// Returns up to where nothing hides the entry.
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

    pub(crate) fn fresh_until(&self) -> Tick {
        match self.life {
            FOREVER => Tick::NEVER,
            OWN => self.own().map_or(Tick::NEVER, |own| own.meta.fresh_until),
            life => Tick::from_millis((self.written >> 16) + u64::from(life)),
        }
    }

    /// Returns the new end of freshness if a read at `now` extends it.
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
        Held { slot: &self.slot, rest: &self.rest }
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

impl<X: Extra> Replaced<X> {
    /// Puts a new value of the same class in the place of another.
    #[inline]
    pub(crate) fn refill(
        (slot, rest): (&mut Slot, &mut Rest<X>),
        (packed, small): (Packed, Small),
        sequence: Sequence,
        extra: X,
    ) -> Self {
        let bytes = Held::new(slot, rest).bytes();
        let blob = std::mem::replace(&mut slot.blob, packed.blob);
        (slot.written, slot.life) = (small.written | packed.name_len, small.life);
        *slot.sequence.get_mut() = sequence.0;
        (rest.version, rest.stale_for) = (halves(small.version), small.stale_for);
        Self { bytes, _blob: blob, _class: None, _extra: std::mem::replace(&mut rest.extra, extra) }
    }
}

impl<X: Extra> From<Whole<X>> for Replaced<X> {
    fn from(old: Whole<X>) -> Self {
        let bytes = old.bytes();
        Self { bytes, _blob: old.slot.blob, _class: Some(old.slot.class), _extra: old.rest.extra }
    }
}

impl<X> Clone for Held<'_, X> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<X> Copy for Held<'_, X> {}

impl<X> std::ops::Deref for Held<'_, X> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        self.slot
    }
}

impl<'a, X> Held<'a, X> {
    pub(crate) const fn new(slot: &'a Slot, rest: &'a Rest<X>) -> Self {
        Self { slot, rest }
    }

    #[cfg(feature = "near")]
    pub(crate) fn extra(self) -> &'a X {
        &self.rest.extra
    }

    pub(crate) fn content(self) -> Content {
        match self.own() {
            Some(own) => own.meta.content,
            None => Content { plain_len: self.plain_len(), ..self.class.content },
        }
    }

    pub(crate) fn version(self) -> Version {
        self.own().map_or_else(|| Version(whole(self.rest.version) >> 16), |own| own.meta.version)
    }

    /// Returns from when on nobody may be served it.
    pub(crate) fn dead_at(self) -> Tick {
        match self.own() {
            Some(own) => expiry::dead_at(&own.meta),
            None if self.is_negative() => self.fresh_until(),
            None => self.fresh_until().after(Duration::from_millis(self.rest.stale_for.into())),
        }
    }

    /// Returns all that is known of the entry; last confirmed when it was written.
    pub(crate) fn meta(self) -> Meta {
        let sequence = Sequence(self.sequence());
        if let Some(own) = self.own() {
            return Meta { sequence, ..own.meta.clone() };
        }
        let (written_at, fresh_until) = (Tick::from_millis(self.written >> 16), self.fresh_until());
        Meta {
            version: self.version(),
            sequence,
            written_at,
            confirmed_at: written_at,
            fresh_until,
            hard_until: fresh_until,
            stale_for: Duration::from_millis(self.rest.stale_for.into()),
            sliding: None,
            load_cost: cost::from_bits(self.rest.version[0] as u16),
            content: self.content(),
            tags: Tags::NONE,
        }
    }

    /// Returns the entry, last confirmed at `confirmed_at`.
    pub(crate) fn entry(self, confirmed_at: Tick) -> Entry {
        Entry { value: self.value(), meta: Meta { confirmed_at, ..self.meta() } }
    }

    /// Returns what the entry takes.
    pub(crate) fn bytes(self) -> usize
    where
        X: Extra,
    {
        let Some(own) = self.own() else {
            return self.blob.len() + Whole::<X>::OVERHEAD + self.rest.extra.bytes();
        };
        let stored = own.stored.as_ref().map_or(0, |stored| stored.len());
        let value = self.blob.len() - self.name_len();
        let entry = bytes_of::<X>(self.name().len(), stored, value, &own.meta.tags, true);
        entry + self.rest.extra.bytes()
    }
}

/// Where an entry that is held may be changed.
pub(crate) struct HeldMut<'a, X = ()> {
    pub(crate) slot: &'a mut Slot,
    pub(crate) rest: &'a mut Rest<X>,
}

impl<X> HeldMut<'_, X> {
    /// Extends the freshness of a sliding entry.
    pub(crate) fn extend(self, until: Tick) {
        self.change(|meta| meta.fresh_until = until);
    }

    /// Gives an entry a new lifetime from `now` on; it is the same write still.
    pub(crate) fn live_on(self, lifetime: Lifetime, now: Tick) {
        self.change(|meta| {
            meta.hard_until = lifetime.ttl().map_or(Tick::NEVER, |ttl| now.after(ttl));
            meta.fresh_until =
                lifetime.sliding().map_or(meta.hard_until, |window| now.after(window).min(meta.hard_until));
            meta.stale_for = lifetime.stale_for();
            meta.sliding = lifetime.sliding();
        });
    }

    /// Changes what is known of the entry; if the slot has no room for it, the entry gets a class for itself.
    fn change(self, change: impl FnOnce(&mut Meta)) {
        let mut meta = Held { slot: self.slot, rest: self.rest }.meta();
        change(&mut meta);
        let (name, stored) = match (self.slot.own(), Small::new(&meta)) {
            (Some(own), _) => (own.name.clone(), own.stored.clone()),
            (None, Some(small)) => {
                (self.slot.life, self.rest.stale_for) = (small.life, small.stale_for);
                return;
            }
            (None, None) => (None, None),
        };
        self.slot.life = OWN;
        let (space, content) = (self.slot.class.space.clone(), self.slot.class.content);
        self.slot.class = Arc::new(Class::new(space, content, Some(Own { meta, name, stored })));
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

/// Compares the keys of two spaces, which mostly are one and the same.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    std::ptr::eq(a, b) || a == b
}

/// Returns what an entry takes: key, value, tags and overhead; `own` if it has its class for itself.
pub(crate) fn bytes_of<X>(name: usize, stored: usize, value: usize, tags: &Tags, own: bool) -> usize {
    let stored = if stored == 0 { 0 } else { stored + HEADER };
    let tags = if tags.is_empty() { 0 } else { tags.weight() + HEADER + 16 * tags.as_slice().len() };
    let own = if own { size_of::<Class>() + HEADER + HEADER } else { 0 };
    name + stored + value + tags + own + Whole::<X>::OVERHEAD
}

/// What a load cost, in 16 bits: microseconds to a part in two thousand.
mod cost {
    use std::time::Duration;

    const MANTISSA: u32 = 11;

    /// Rounds up; `None` above 50 days.
    pub(super) fn to_bits(cost: Duration) -> Option<u16> {
        let micros = cost.as_secs().checked_mul(1_000_000)?.checked_add(cost.subsec_nanos().div_ceil(1000).into())?;
        let mut shift = (u64::BITS - micros.leading_zeros()).saturating_sub(MANTISSA);
        let mut mantissa = micros.div_ceil(1 << shift);
        if mantissa >> MANTISSA != 0 {
            (shift, mantissa) = (shift + 1, mantissa.div_ceil(2));
        }
        (shift < 32).then_some((shift as u16) << MANTISSA | mantissa as u16)
    }

    pub(super) fn from_bits(bits: u16) -> Duration {
        Duration::from_micros(u64::from(bits & ((1 << MANTISSA) - 1)) << (bits >> MANTISSA))
    }

    #[cfg(test)]
    mod tests {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn is_kept_to_a_part_in_a_thousand(micros in prop_oneof![0..5000u64, 0..4_000_000_000_000u64]) {
                let cost = Duration::from_micros(micros);
                let kept = from_bits(to_bits(cost).unwrap());
                prop_assert!(kept >= cost && (kept - cost).as_micros() as u64 <= micros / 1000);
                prop_assert!(micros >= 2048 || kept == cost, "short ones exactly");
            }
        }

        #[test]
        fn nothing_is_zero_and_years_do_not_fit() {
            assert_eq!(from_bits(to_bits(Duration::ZERO).unwrap()), Duration::ZERO);
            assert_eq!(from_bits(to_bits(Duration::from_nanos(1)).unwrap()), Duration::from_micros(1));
            assert_eq!(to_bits(Duration::MAX), None);
            assert_eq!(to_bits(Duration::from_secs(60 * 86_400)), None);
        }
    }
}
