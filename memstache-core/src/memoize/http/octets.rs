//! Bytes in formats for people and in formats for machines.

use std::fmt;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

/// Bytes. In text formats: `t` and the text, or `b` and one character of U+0000 to U+00FF for each byte.
pub(super) struct Octets(pub(super) Bytes);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(&self.0);
        }
        let mut text = String::with_capacity(self.0.len() + 1);
        match std::str::from_utf8(&self.0) {
            Ok(own) => text.extend(["t", own]),
            Err(_) => text.extend(std::iter::once('b').chain(self.0.iter().map(|byte| char::from(*byte)))),
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_string(OctetsVisitor)
        } else {
            deserializer.deserialize_byte_buf(OctetsVisitor)
        }
    }
}

struct OctetsVisitor;

impl<'de> Visitor<'de> for OctetsVisitor {
    type Value = Octets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Octets, E> {
        if let Some(text) = text.strip_prefix('t') {
            return Ok(Octets(Bytes::copy_from_slice(text.as_bytes())));
        }
        let bytes = text.strip_prefix('b').ok_or_else(|| E::custom("bytes must begin with t or b"))?;
        let byte = |character| u8::try_from(u32::from(character)).map_err(|_| E::custom("a byte must be under U+0100"));
        Ok(Octets(bytes.chars().map(byte).collect::<Result<Vec<u8>, E>>()?.into()))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Octets, E> {
        Ok(Octets(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Octets, E> {
        Ok(Octets(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Octets, A::Error> {
        // The length that a hostile value claims is not trusted.
        let mut bytes = Vec::with_capacity(items.size_hint().unwrap_or(0).min(4096));
        while let Some(byte) = items.next_element()? {
            bytes.push(byte);
        }
        Ok(Octets(bytes.into()))
    }
}
