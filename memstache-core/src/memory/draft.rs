//! An entry before it is put in: all that can be done outside of the locks.

use std::sync::Arc;

use super::{
    class::{Class, Classes, Own},
    key::{Hashed, Place},
    slot::{Extra, Packed, Small, Whole, bytes_of, common},
};
use crate::{
    entry::{Content, Entry, Meta},
    version::{Sequence, Version},
};

/// An entry on its way in.
pub(crate) struct Draft<K> {
    pub(crate) place: K,
    pub(crate) hash: Hashed,
    /// What it takes.
    pub(crate) bytes: usize,
    meta: Meta,
    /// What entries of its kind have in common.
    content: Content,
    /// `None` if the entry must have its class for itself.
    small: Option<Small>,
    /// `None` once it was put in.
    packed: Option<Packed>,
}

impl<K: Place> Draft<K> {
    pub(crate) fn new<X: Extra>(place: K, hash: Hashed, entry: Entry) -> Self {
        let Entry { value, meta } = entry;
        let value_len = value.len();
        let packed = Packed::new(place.name(), value);
        let small = Small::new(&meta).filter(|_| packed.is_joined() && place.blind().is_none());
        let blind = place.blind().map_or(0, |stored| stored.len());
        let bytes = bytes_of::<X>(place.name().len(), blind, value_len, &meta.tags, small.is_none());
        let content = common(&meta.content);
        Self { place, hash, bytes, meta, content, small, packed: Some(packed) }
    }

    /// Gives it the version and the sequence under which it is stored.
    pub(crate) fn stamp(&mut self, version: Version, sequence: Sequence) {
        (self.meta.version, self.meta.sequence) = (version, sequence);
        if let Some(small) = &mut self.small {
            small.stamp(version);
        }
    }

    #[cfg(feature = "near")]
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Returns by how much the classes will grow.
    pub(crate) fn class_bytes(&self, classes: &Classes) -> usize {
        let known = self.small.is_none() || classes.find(self.place.space_key(), &self.content).is_some();
        if known { 0 } else { Class::bytes(self.place.space_key()) }
    }

    /// Makes the entry of it, which is of its class from then on; `None` the second time.
    pub(crate) fn take<X>(&mut self, classes: &mut Classes, extra: X) -> Option<Whole<X>> {
        let packed = self.packed.take()?;
        let class = if self.small.is_some() {
            classes.join(self.place.space_key(), &self.content, || {
                Arc::new(Class::new(self.place.space(), self.content, None))
            })
        } else {
            let name = (!packed.is_joined()).then(|| self.place.name().into());
            let own = Own { meta: self.meta.clone(), name, stored: self.place.blind().cloned() };
            Arc::new(Class::new(self.place.space(), self.content, Some(own)))
        };
        Some(Whole::new(self.hash.short, class, packed, self.small.take(), self.meta.sequence, extra))
    }
}
