//! What is left of an entry that was replaced.

use std::sync::Arc;

use bytes::Bytes;

use super::{Class, Extra, Held, Packed, Rest, Slot, Small, Whole, halves};
use crate::version::Sequence;

/// What is left of an entry that was replaced, to be dropped once the lock is free.
pub(crate) struct Replaced<X = ()> {
    /// What the entry took.
    pub(crate) bytes: usize,
    _blob: Bytes,
    _class: Option<Arc<Class>>,
    _extra: X,
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
