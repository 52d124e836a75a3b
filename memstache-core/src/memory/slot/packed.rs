//! A name and a value in one.

use bytes::Bytes;

use crate::entry::Content;

/// Values up to this length are kept in one allocation with their names; larger ones are not copied.
const JOINED: usize = 4096;

/// A name and a value on their way into a slot, put together outside of all locks.
pub(crate) struct Packed {
    pub(super) blob: Bytes,
    /// Zero if the name does not stand before the value. As wide as a register: written by halves and read as a whole, it
    /// would wait for all that was written before.
    pub(super) name_len: u64,
    /// Whether the plain length stands behind the value, in [`TAIL`] bytes: only where it is another.
    pub(super) tail: bool,
}

/// How many bytes a plain length takes that is not the value's.
pub(super) const TAIL: usize = size_of::<u32>();

impl Packed {
    pub(crate) fn new(name: &[u8], value: Bytes, content: &Content) -> Self {
        if value.len() > JOINED {
            return Self { blob: value, name_len: 0, tail: false };
        }
        let tail = u32::try_from(content.plain_len).ok().filter(|plain_len| *plain_len as usize != value.len());
        let mut blob = Vec::with_capacity(name.len() + value.len() + tail.map_or(0, |_| TAIL));
        blob.extend_from_slice(name);
        blob.extend_from_slice(&value);
        if let Some(plain_len) = tail {
            blob.extend_from_slice(&plain_len.to_ne_bytes());
        }
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
