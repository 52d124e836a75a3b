//! Values that are bytes already, for the handle by which the owner loads.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
};

use bytes::Bytes;
use memstache_core::{Error, ErrorKind, Format, FormatId, Result};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, value::UnitDeserializer},
};

/// Bytes as a source brought them.
#[derive(Clone)]
pub(super) struct Octets(pub(super) Bytes);

/// Hands bytes over as they are, past serde: nothing is copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain(pub(super) FormatId);

thread_local! {
    /// What is handed over between a format and a value, within one call.
    static HAND: Cell<Option<Bytes>> = const { Cell::new(None) };
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        HAND.set(Some(self.0.clone()));
        serializer.serialize_str("")
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        HAND.take().map(Self).ok_or_else(|| serde::de::Error::custom("no bytes were handed over"))
    }
}

/// A value that is written by its own `serialize`: serde's formatter takes the empty text that an [`Octets`] writes.
struct Shown<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
    }
}

impl Format for Plain {
    fn id(&self) -> FormatId {
        self.0
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        HAND.take();
        let written = write!(String::new(), "{}", Shown(value));
        HAND.take().filter(|_| written.is_ok()).ok_or_else(|| Error::new(ErrorKind::Invalid, "not a value of a source"))
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        self.decode_shared(&Bytes::copy_from_slice(bytes))
    }

    fn decode_shared<T: DeserializeOwned>(&self, bytes: &Bytes) -> Result<T> {
        HAND.set(Some(bytes.clone()));
        let value = T::deserialize(UnitDeserializer::<serde::de::value::Error>::new());
        HAND.take();
        value.map_err(|_| Error::new(ErrorKind::Rejected, "the stored bytes are not this value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_through_without_a_copy() {
        let bytes = Bytes::from(vec![0, 255, b'"', 7]);
        let plain = Plain(FormatId::JSON);
        let encoded = plain.encode(&Octets(bytes.clone())).unwrap();
        assert_eq!((&encoded, encoded.as_ptr()), (&bytes, bytes.as_ptr()));
        let decoded: Octets = plain.decode_shared(&encoded).unwrap();
        assert_eq!(decoded.0.as_ptr(), bytes.as_ptr());
        assert_eq!(plain.decode::<Octets>(b"copied").unwrap().0, "copied");
        assert_eq!(plain.id(), FormatId::JSON);
    }

    #[test]
    fn anything_else_is_an_error() {
        assert_eq!(Plain(FormatId::RAW).encode(&7).unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(Plain(FormatId::RAW).decode::<u8>(b"7").unwrap_err().kind(), ErrorKind::Rejected);
        assert!(HAND.take().is_none(), "nothing is left behind");
    }
}
