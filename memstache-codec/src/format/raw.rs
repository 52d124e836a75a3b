//! Bytes as they are.

use std::fmt;

use bytes::Bytes;
use memstache_core::{BufferPool, Error, ErrorKind, Format, FormatId, Result};
use serde::{
    Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Visitor, value::SeqDeserializer},
    forward_to_deserialize_any,
    ser::{Impossible, SerializeSeq, SerializeTuple},
};

use super::blob::{self, TOKEN};

/// Bytes as they are: for values that are bytes or text already.
///
/// Takes [`Blob`](crate::Blob) (never copied), `&[u8]`, `Vec<u8>`, `String` and `&str`, and what serde writes as one of
/// these; anything else is [`Invalid`](ErrorKind::Invalid).
///
/// ```
/// use memstache_codec::Raw;
/// use memstache_core::{ErrorKind, Format};
///
/// assert_eq!(&Raw.encode("tea")?[..], b"tea");
/// assert_eq!(Raw.decode::<String>(b"tea")?, "tea");
/// assert_eq!(Raw.decode::<Vec<u8>>(b"tea")?, b"tea");
/// assert_eq!(Raw.encode(&7u32).unwrap_err().kind(), ErrorKind::Invalid);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit that is written as `Raw`")]
pub struct Raw;

impl Format for Raw {
    fn id(&self) -> FormatId {
        FormatId::RAW
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        let mut buffer = BufferPool::global().rent_typical();
        match value.serialize(Writer { out: &mut buffer, element: false }) {
            Ok(None) => Ok(buffer.to_bytes()),
            Ok(Some(bytes)) => Ok(bytes),
            Err(error) => {
                Err(Error::new(ErrorKind::Invalid, "a value of the raw format must be bytes or text")
                    .with_source(error))
            }
        }
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        T::deserialize(Reader { bytes, shared: None }).map_err(|_| rejected())
    }

    fn decode_shared<T: DeserializeOwned>(&self, bytes: &Bytes) -> Result<T> {
        T::deserialize(Reader { bytes, shared: Some(bytes) }).map_err(|_| rejected())
    }
}

fn rejected() -> Error {
    Error::new(ErrorKind::Rejected, "the stored bytes are not this value")
}

/// Why serde could not go on.
#[derive(Debug)]
struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

impl serde::ser::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl serde::de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

fn unfit<T>() -> Result<T, Problem> {
    Err(Problem("raw values are bytes or text".to_owned()))
}

/// Appends bytes; a blob's are the answer themselves.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Inside a sequence there are single bytes and nothing else.
    element: bool,
}

impl<'a> Writer<'a> {
    fn whole(self) -> Result<&'a mut Vec<u8>, Problem> {
        if self.element { unfit() } else { Ok(self.out) }
    }
}

type Written = Result<Option<Bytes>, Problem>;
type Never = Impossible<Option<Bytes>, Problem>;

/// What is no bytes.
macro_rules! refuse {
    ($($method:ident($($type:ty),*) -> $answer:ty;)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<$answer, Problem> {
            unfit()
        }
    )*};
}

impl<'a> Serializer for Writer<'a> {
    type Ok = Option<Bytes>;
    type Error = Problem;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    fn serialize_bytes(self, bytes: &[u8]) -> Written {
        self.whole()?.extend_from_slice(bytes);
        Ok(None)
    }

    fn serialize_u8(self, byte: u8) -> Written {
        if !self.element {
            return unfit();
        }
        self.out.push(byte);
        Ok(None)
    }

    fn serialize_str(self, text: &str) -> Written {
        self.serialize_bytes(text.as_bytes())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Written {
        if name != TOKEN || self.element {
            return value.serialize(self);
        }
        match blob::ask(|| value.serialize(self)) {
            (Ok(None), bytes) => Ok(bytes),
            (other, _) => other,
        }
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a>, Problem> {
        Ok(Elements(self.whole()?))
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements<'a>, Problem> {
        Ok(Elements(self.whole()?))
    }

    refuse! {
        serialize_bool(bool) -> Option<Bytes>;
        serialize_i8(i8) -> Option<Bytes>;
        serialize_i16(i16) -> Option<Bytes>;
        serialize_i32(i32) -> Option<Bytes>;
        serialize_i64(i64) -> Option<Bytes>;
        serialize_u16(u16) -> Option<Bytes>;
        serialize_u32(u32) -> Option<Bytes>;
        serialize_u64(u64) -> Option<Bytes>;
        serialize_f32(f32) -> Option<Bytes>;
        serialize_f64(f64) -> Option<Bytes>;
        serialize_char(char) -> Option<Bytes>;
        serialize_none() -> Option<Bytes>;
        serialize_unit() -> Option<Bytes>;
        serialize_unit_struct(&'static str) -> Option<Bytes>;
        serialize_unit_variant(&'static str, u32, &'static str) -> Option<Bytes>;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct(&'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Written {
        unfit()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Written {
        unfit()
    }
}

/// Bytes one by one, as serde writes a `Vec<u8>`.
struct Elements<'a>(&'a mut Vec<u8>);

impl Elements<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        value.serialize(Writer { out: self.0, element: true }).map(drop)
    }
}

impl SerializeSeq for Elements<'_> {
    type Ok = Option<Bytes>;
    type Error = Problem;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.push(value)
    }

    fn end(self) -> Written {
        Ok(None)
    }
}

impl SerializeTuple for Elements<'_> {
    type Ok = Option<Bytes>;
    type Error = Problem;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.push(value)
    }

    fn end(self) -> Written {
        Ok(None)
    }
}

/// Hands out the bytes as whatever is asked for.
struct Reader<'a> {
    bytes: &'a [u8],
    shared: Option<&'a Bytes>,
}

impl<'a> Reader<'a> {
    fn text(&self) -> Result<&'a str, Problem> {
        std::str::from_utf8(self.bytes).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_bytes(self.bytes)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_byte_buf(self.bytes.to_vec())
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_string(self.text()?.to_owned())
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let mut bytes = SeqDeserializer::<_, Problem>::new(self.bytes.iter().copied());
        let value = visitor.visit_seq(&mut bytes)?;
        bytes.end().map(|()| value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Problem> {
        match self.shared {
            Some(bytes) if name == TOKEN => blob::give(bytes, || visitor.visit_newtype_struct(self)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes option unit unit_struct tuple_struct map struct
        enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::Blob;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Name(String);

    #[test]
    fn bytes_and_text_in_every_form() {
        let value = b"\x00tea\xff".as_slice();
        assert_eq!(Raw.encode(value).unwrap(), value);
        assert_eq!(Raw.encode(&value.to_vec()).unwrap(), value);
        assert_eq!(Raw.encode(&[1u8, 2, 3]).unwrap(), [1, 2, 3].as_slice());
        assert_eq!(Raw.encode(&Blob::from(value.to_vec())).unwrap(), value);
        assert_eq!(Raw.encode(&Name("tea".to_owned())).unwrap(), "tea");
        assert_eq!(Raw.decode::<Vec<u8>>(value).unwrap(), value);
        assert_eq!(Raw.decode::<[u8; 3]>(&[1, 2, 3]).unwrap(), [1, 2, 3]);
        assert_eq!(Raw.decode::<Blob>(value).unwrap(), Blob::from(value.to_vec()));
        assert_eq!(Raw.decode::<Name>(b"tea").unwrap(), Name("tea".to_owned()));
        assert_eq!(Raw.decode::<Blob>(b"").unwrap(), Blob::default());
    }

    #[test]
    fn nothing_else_is_written() {
        let invalid = |result: Result<Bytes>| result.unwrap_err().kind() == ErrorKind::Invalid;
        assert!(invalid(Raw.encode(&7u8)));
        assert!(invalid(Raw.encode(&Some("tea"))));
        assert!(invalid(Raw.encode(&[[1u8], [2]])), "it would not be known where one ends");
        assert!(invalid(Raw.encode(&["a", "b"])));
        assert!(invalid(Raw.encode(&[1u16, 2])));
        assert!(invalid(Raw.encode(&[Blob::default(), Blob::default()])));
        assert!(invalid(Raw.encode(&BTreeMap::from([(1u8, 2u8)]))));
    }

    #[test]
    fn what_does_not_fit_is_rejected() {
        assert_eq!(Raw.decode::<String>(b"\xff").unwrap_err().kind(), ErrorKind::Rejected);
        assert_eq!(Raw.decode::<u64>(b"12345678").unwrap_err().kind(), ErrorKind::Rejected);
        assert_eq!(Raw.decode::<[u8; 2]>(b"123").unwrap_err().kind(), ErrorKind::Rejected);
    }

    #[test]
    fn a_blob_takes_only_what_is_meant_for_it() {
        /// Reads a blob of its own while another is read.
        struct Nosy;
        impl<'de> Deserialize<'de> for Nosy {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Look;
                impl<'de> Visitor<'de> for Look {
                    type Value = Nosy;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("anything")
                    }
                    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Nosy, D::Error> {
                        Ok(Nosy)
                    }
                }
                deserializer.deserialize_newtype_struct(TOKEN, Look)
            }
        }
        Raw.decode_shared::<Nosy>(&Bytes::from_static(b"left behind")).unwrap();
        assert_eq!(Raw.decode::<Blob>(b"own").unwrap(), Blob::from("own"));
    }
}
