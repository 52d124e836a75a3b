//! Bytes as a value.

use std::{cell::RefCell, fmt, ops::Deref};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

/// By this name [`Raw`](crate::Raw) knows a blob.
pub(super) const TOKEN: &str = "$memstache::Blob";

thread_local! {
    /// Where bytes pass between a blob and [`Raw`](crate::Raw), as serde has no way for them.
    static HAND: RefCell<Hand> = const { RefCell::new(Hand::Empty) };
}

enum Hand {
    Empty,
    /// Raw wants the bytes of the blob that is being written.
    Open,
    Full(Bytes),
}

/// Bytes as a value: in every format one string of bytes, and in [`Raw`](crate::Raw) not copied at all.
///
/// ```
/// use memstache_codec::{Blob, Raw};
/// use memstache_core::Format;
///
/// let page = Blob::from(vec![1, 2, 3]);
/// let stored = Raw.encode(&page)?;
/// assert_eq!(stored.as_ptr(), page.as_ptr(), "the same bytes, counted once more");
/// assert_eq!(Raw.decode_shared::<Blob>(&stored)?.as_ptr(), page.as_ptr());
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "bytes under another name")]
pub struct Blob(pub Bytes);

impl Deref for Blob {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl<B: Into<Bytes>> From<B> for Blob {
    fn from(bytes: B) -> Self {
        Self(bytes.into())
    }
}

/// Shows no content.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(TOKEN, &Content(&self.0))
    }
}

struct Content<'a>(&'a Bytes);

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wanted = HAND.with_borrow_mut(|hand| {
            let wanted = matches!(hand, Hand::Open);
            if wanted {
                *hand = Hand::Full(self.0.clone());
            }
            wanted
        });
        serializer.serialize_bytes(if wanted { &[] } else { self.0 })
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(TOKEN, BlobVisitor)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Blob, D::Error> {
        match taken() {
            Some(bytes) => Ok(Blob(bytes)),
            None => deserializer.deserialize_byte_buf(self),
        }
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(Blob(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Blob, A::Error> {
        let mut bytes = Vec::with_capacity(seq.size_hint().unwrap_or_default().min(1 << 16));
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(Blob(bytes.into()))
    }
}

/// Lets a blob give its bytes as they are while `write` runs; `None` if none did.
pub(super) fn ask<T>(write: impl FnOnce() -> T) -> (T, Option<Bytes>) {
    let _clean = put(Hand::Open);
    let result = write();
    (result, taken())
}

/// Lets a blob take these bytes as they are while `read` runs.
pub(super) fn give<T>(bytes: &Bytes, read: impl FnOnce() -> T) -> T {
    let _clean = put(Hand::Full(bytes.clone()));
    read()
}

fn taken() -> Option<Bytes> {
    HAND.with_borrow_mut(|hand| match std::mem::replace(hand, Hand::Empty) {
        Hand::Full(bytes) => Some(bytes),
        Hand::Empty | Hand::Open => None,
    })
}

fn put(hand: Hand) -> Clean {
    HAND.set(hand);
    Clean
}

/// Leaves nothing in the hand, whatever happens: what lay there must not be taken for another value.
struct Clean;

impl Drop for Clean {
    fn drop(&mut self) {
        HAND.set(Hand::Empty);
    }
}
