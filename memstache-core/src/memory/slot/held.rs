//! Entries where they are held.

use std::{sync::Arc, time::Duration};

use super::{Class, Extra, OWN, Own, Packed, Rest, Slot, Small, Whole, bytes_of, cost, halves, whole};
use crate::{
    clock::Tick,
    entry::{Content, Entry, Meta, Tags},
    expiry,
    lifetime::Lifetime,
    version::{Sequence, Version},
};

/// An entry where it is held.
pub(crate) struct Held<'a, X = ()> {
    slot: &'a Slot,
    rest: &'a Rest<X>,
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
    /// Puts a new value of the same class in the place of another; what was there is left where the new came from.
    #[inline]
    pub(crate) fn refill(self, packed: &mut Packed, small: Small, sequence: Sequence, extra: &mut X) {
        let Self { slot, rest } = self;
        (slot.written, slot.life) = (small.written | packed.name_len, small.life);
        *slot.sequence.get_mut() = sequence.0;
        (rest.version, rest.stale_for) = (halves(small.version), small.stale_for);
        std::mem::swap(&mut slot.blob, &mut packed.blob);
        std::mem::swap(&mut rest.extra, extra);
    }

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
