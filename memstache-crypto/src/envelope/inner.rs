//! What a sealed value says about itself, inside: only who has the key can write it.

use memstache_core::{Content, Encoding, FormatId, Schema};

use super::Reason;

/// The bytes of the inner header.
pub(crate) const INNER_LEN: usize = 44;

const VERSION: u8 = 1;

/// The source has no such key.
const NEGATIVE: u8 = 1;
/// There is a schema.
const SCHEMA: u8 = 1 << 1;
/// There is a deadline.
const DEADLINE: u8 = 1 << 2;
const KNOWN: u8 = NEGATIVE | SCHEMA | DEADLINE;

/// What a sealed value says about itself. Big-endian; what is absent is zero:
///
/// ```text
///  0  1  version 1     12  8  schema
///  1  1  format        20  8  length before compression
///  2  1  encoding      28  8  written at, ms since the Unix epoch
///  3  1  flags         36  8  deadline, ms since the Unix epoch
///  4  4  generation
///  8  4  length of the value
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) format: FormatId,
    pub(crate) encoding: Encoding,
    pub(crate) negative: bool,
    pub(crate) schema: Option<Schema>,
    pub(crate) generation: u32,
    /// The bytes of the value, without padding.
    pub(crate) len: u32,
    pub(crate) plain_len: u64,
    pub(crate) written_at: u64,
    pub(crate) deadline: Option<u64>,
}

impl Inner {
    #[inline]
    pub(crate) fn write(&self) -> [u8; INNER_LEN] {
        let mut out = [0; INNER_LEN];
        let flags = [(NEGATIVE, self.negative), (SCHEMA, self.schema.is_some()), (DEADLINE, self.deadline.is_some())];
        let flags = flags.into_iter().filter(|(_, set)| *set).fold(0, |all, (flag, _)| all | flag);
        out[..4].copy_from_slice(&[VERSION, self.format.0, self.encoding.0, flags]);
        out[4..8].copy_from_slice(&self.generation.to_be_bytes());
        out[8..12].copy_from_slice(&self.len.to_be_bytes());
        out[12..20].copy_from_slice(&self.schema.map_or(0, |schema| schema.0).to_be_bytes());
        out[20..28].copy_from_slice(&self.plain_len.to_be_bytes());
        out[28..36].copy_from_slice(&self.written_at.to_be_bytes());
        out[36..44].copy_from_slice(&self.deadline.unwrap_or(0).to_be_bytes());
        out
    }

    /// Reads a header; what it does not say in exactly one way is refused.
    #[inline]
    pub(crate) fn read(bytes: &[u8; INNER_LEN]) -> Result<Self, Reason> {
        let [version, format, encoding, flags] = array(bytes, 0);
        if version != VERSION || flags & !KNOWN != 0 {
            return Err(Reason::Inner);
        }
        let read = Self {
            format: FormatId(format),
            encoding: Encoding(encoding),
            negative: flags & NEGATIVE != 0,
            schema: optional(flags & SCHEMA != 0, u64::from_be_bytes(array(bytes, 12)))?.map(Schema),
            generation: u32::from_be_bytes(array(bytes, 4)),
            len: u32::from_be_bytes(array(bytes, 8)),
            plain_len: u64::from_be_bytes(array(bytes, 20)),
            written_at: u64::from_be_bytes(array(bytes, 28)),
            deadline: optional(flags & DEADLINE != 0, u64::from_be_bytes(array(bytes, 36)))?,
        };
        if read.negative && read.len != 0 { Err(Reason::Inner) } else { Ok(read) }
    }

    /// What the value is, once it is open.
    #[inline]
    pub(crate) fn content(&self) -> Content {
        Content {
            format: self.format,
            encoding: self.encoding,
            sealed: false,
            negative: self.negative,
            schema: self.schema,
            plain_len: self.plain_len,
        }
    }
}

fn optional(is_there: bool, value: u64) -> Result<Option<u64>, Reason> {
    match (is_there, value) {
        (true, value) => Ok(Some(value)),
        (false, 0) => Ok(None),
        (false, _) => Err(Reason::Inner),
    }
}

fn array<const N: usize>(bytes: &[u8; INNER_LEN], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the header is longer")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            (format, encoding, negative) in any::<(u8, u8, bool)>(),
            schema in any::<Option<u64>>(),
            (generation, len, plain_len) in any::<(u32, u32, u64)>(),
            (written_at, deadline) in any::<(u64, Option<u64>)>(),
        ) {
            let inner = Inner {
                format: FormatId(format),
                encoding: Encoding(encoding),
                negative,
                schema: schema.map(Schema),
                generation,
                len: if negative { 0 } else { len },
                plain_len,
                written_at,
                deadline,
            };
            prop_assert_eq!(Inner::read(&inner.write()), Ok(inner));
        }

        #[test]
        fn whatever_is_read_is_written_as_it_was(bytes in any::<[[u8; 4]; 11]>()) {
            let mut bytes: [u8; INNER_LEN] = bytes.as_flattened().try_into().unwrap();
            bytes[0] = VERSION;
            bytes[3] &= KNOWN;
            if let Ok(read) = Inner::read(&bytes) {
                prop_assert_eq!(read.write(), bytes);
            }
        }
    }

    #[test]
    fn another_version_unknown_flags_and_contradictions_are_refused() {
        let plain = Inner {
            format: FormatId::RAW,
            encoding: Encoding::NONE,
            negative: false,
            schema: None,
            generation: 0,
            len: 3,
            plain_len: 3,
            written_at: 1,
            deadline: None,
        };
        let changed = |at: usize, byte: u8| {
            let mut bytes = plain.write();
            bytes[at] = byte;
            Inner::read(&bytes)
        };
        assert_eq!(changed(0, 2), Err(Reason::Inner));
        assert_eq!(changed(3, KNOWN + 1), Err(Reason::Inner));
        assert_eq!(changed(3, NEGATIVE), Err(Reason::Inner), "no value, and its length");
        assert_eq!(changed(12, 1), Err(Reason::Inner), "a schema without its flag");
        assert_eq!(changed(43, 1), Err(Reason::Inner), "a deadline without its flag");
        assert!(changed(1, 9).is_ok());
    }
}
