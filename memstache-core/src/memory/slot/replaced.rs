//! What is left of an entry that was replaced.

use std::sync::Arc;

use bytes::Bytes;

use super::{Class, Extra, Whole};

/// What is left of an entry that was replaced, to be dropped once the lock is free.
pub(crate) struct Replaced<X = ()> {
    /// What the entry took.
    pub(crate) bytes: usize,
    _blob: Option<Bytes>,
    _class: Option<Arc<Class>>,
    _extra: X,
}

impl<X: Extra> Replaced<X> {
    /// An entry in whose slot another stands: its value was left in the draft.
    pub(crate) fn refilled(bytes: usize, extra: X) -> Self {
        Self { bytes, _blob: None, _class: None, _extra: extra }
    }
}

impl<X: Extra> From<Whole<X>> for Replaced<X> {
    fn from(old: Whole<X>) -> Self {
        let bytes = old.bytes();
        Self { bytes, _blob: Some(old.slot.blob), _class: Some(old.slot.class), _extra: old.rest.extra }
    }
}
