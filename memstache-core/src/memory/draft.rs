//! An entry before it is put in: all that can be done outside of the locks.

use std::sync::Arc;

use super::{
    class::{Class, Classes, Own},
    key::{Hashed, Place},
    slot::{Extra, HeldMut, Packed, Rest, Slot, Small, Whole, bytes_of},
};
use crate::{
    clock::Tick,
    entry::{Content, Meta, NewEntry},
    version::{Sequence, Version},
};

/// An entry on its way in.
pub(crate) struct Draft<K> {
    pub(crate) place: K,
    pub(crate) hash: Hashed,
    /// What it takes.
    pub(crate) bytes: usize,
    sequence: Sequence,
    /// What entries of its kind have in common.
    content: Content,
    known: Known,
    /// `None` once it was put in; what it took the place of, if it did.
    packed: Option<Packed>,
}

/// What is known of the entry, as a slot keeps it.
enum Known {
    Small(Small),
    /// The entry must have its class for itself.
    Own(Box<Meta>),
}

impl<K: Place> Draft<K> {
    /// Takes in an entry that is written now and whose value was packed already.
    #[inline]
    pub(crate) fn of_new<X: Extra>(place: K, hash: Hashed, packed: Packed, entry: &mut NewEntry, now: Tick) -> Self {
        if packed.is_joined()
            && place.blind().is_none()
            && let Some(small) = Small::of_new(entry, now)
        {
            let bytes = packed.len() + Whole::<X>::OVERHEAD;
            let (content, known) = (packed.common(&entry.content), Known::Small(small));
            return Self { place, hash, bytes, sequence: Sequence(0), content, known, packed: Some(packed) };
        }
        Self::of_rich::<X>(place, hash, packed, entry, now)
    }

    /// Takes in one of which a slot may not have room for all that is known.
    #[inline(never)]
    fn of_rich<X: Extra>(place: K, hash: Hashed, packed: Packed, entry: &NewEntry, now: Tick) -> Self {
        Self::new::<X>(place, hash, packed, entry.clone().into_entry(now, Version(0), Sequence(0)).meta)
    }

    pub(crate) fn new<X: Extra>(place: K, hash: Hashed, packed: Packed, meta: Meta) -> Self {
        let small = Small::new(&meta).filter(|_| packed.is_joined() && place.blind().is_none());
        let name = place.name().len();
        let value = if packed.is_joined() { packed.len() - name } else { packed.len() };
        let blind = place.blind().map_or(0, |stored| stored.len());
        let bytes = bytes_of::<X>(name, blind, value, &meta.tags, small.is_none());
        let (content, sequence) = (packed.common(&meta.content), meta.sequence);
        let known = small.map_or_else(|| Known::Own(Box::new(meta)), Known::Small);
        Self { place, hash, bytes, sequence, content, known, packed: Some(packed) }
    }

    /// Gives it the version and the sequence under which it is stored.
    pub(crate) fn stamp(&mut self, version: Version, sequence: Sequence) {
        self.sequence = sequence;
        match &mut self.known {
            Known::Small(small) => small.stamp(version),
            Known::Own(meta) => meta.version = version,
        }
    }

    /// Returns whether it is of a class that entries share, and of this one.
    pub(crate) fn is_of(&self, class: &Class) -> bool {
        matches!(self.known, Known::Small(_)) && class.own.is_none() && class.is(self.place.space_key(), &self.content)
    }

    /// Returns by how much the classes will grow.
    pub(crate) fn class_bytes(&self, classes: &Classes) -> usize {
        let shared = matches!(self.known, Known::Small(_));
        let known = !shared || classes.find(self.place.space_key(), &self.content).is_some();
        if known { 0 } else { Class::bytes(self.place.space_key()) }
    }

    /// Puts it in the place of an entry of its own class, whose value and extra it is left with; `None` if it
    /// [is not](Self::is_of).
    #[inline]
    pub(crate) fn refill<X>(&mut self, (slot, rest): (&mut Slot, &mut Rest<X>), extra: &mut X) -> Option<()> {
        let Known::Small(small) = self.known else { return None };
        HeldMut { slot, rest }.refill(self.packed.as_mut()?, small, self.sequence, extra);
        Some(())
    }

    /// Makes the entry of it, which is of its class from then on; `None` the second time.
    pub(crate) fn take<X>(&mut self, classes: &mut Classes, extra: X) -> Option<Whole<X>> {
        let packed = self.packed.take()?;
        let (class, small) = match &self.known {
            Known::Small(small) => {
                let class = classes.join(self.place.space_key(), &self.content, || {
                    Arc::new(Class::new(self.place.space(), self.content, None))
                });
                (class, Some(*small))
            }
            Known::Own(meta) => {
                let name = (!packed.is_joined()).then(|| self.place.name().into());
                let own = Own { meta: Meta::clone(meta), name, stored: self.place.blind().cloned() };
                (Arc::new(Class::new(self.place.space(), self.content, Some(own))), None)
            }
        };
        Some(Whole::new(self.hash.short, class, packed, small, self.sequence, extra))
    }
}
