//! bincode, by the crate of that name, through serde.

use bincode::{
    config::{Configuration, Limit, LittleEndian, Varint},
    enc::write::Writer,
    error::EncodeError,
};
use bytes::Bytes;
use memstache_core::{BufferPool, Error, ErrorKind, Format, FormatId, Result};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    errors::{unreadable, unwritable},
    guard::Seed,
};

/// Largest value in bincode's own count, which takes an integer for its full width: 64 MiB.
pub const BINCODE_LIMIT: usize = 64 << 20;

/// bincode 2 (its standard configuration), for those who have it already.
///
/// New caches take [`Postcard`](crate::Postcard): bincode is not maintained any more (RUSTSEC-2025-0141). Reading is
/// bounded by [`BINCODE_LIMIT`]; larger values are refused when they are written. As with postcard, other fields need
/// another schema.
///
/// ```
/// use memstache_codec::Bincode;
/// use memstache_core::Format;
///
/// let bytes = Bincode.encode(&("tea", 300u32))?;
/// assert_eq!(&bytes[..], b"\x03tea\xfb\x2c\x01");
/// assert_eq!(Bincode.decode::<(String, u32)>(&bytes)?, ("tea".to_owned(), 300));
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit that is written as `Bincode`")]
pub struct Bincode;

/// Counts integers at full width, up to sixteen bytes for one that is written as one: so much above the bytes' own limit.
const CLAIMS: usize = 16 * BINCODE_LIMIT;
const CONFIG: Configuration<LittleEndian, Varint, Limit<CLAIMS>> = bincode::config::standard().with_limit::<CLAIMS>();

impl Format for Bincode {
    fn id(&self) -> FormatId {
        FormatId::BINCODE
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        let mut buffer = BufferPool::global().rent_typical();
        bincode::serde::encode_into_writer(value, Into(&mut buffer), CONFIG)
            .map_err(|error| unwritable("the value cannot be written as bincode", error))?;
        if buffer.len() > BINCODE_LIMIT {
            return Err(Error::new(ErrorKind::TooLarge, "the value is larger than bincode reads here"));
        }
        Ok(buffer.to_bytes())
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        if bytes.len() > BINCODE_LIMIT {
            return Err(unreadable("the stored value is larger than any that is written as bincode"));
        }
        let seed = Seed::<T>::new(bytes.len());
        match bincode::serde::seed_decode_from_slice(seed, bytes, CONFIG) {
            Ok((value, read)) if read == bytes.len() => Ok(value),
            _ => Err(unreadable("the stored value is not this bincode")),
        }
    }
}

/// Writes into a buffer that is there already.
struct Into<'a>(&'a mut Vec<u8>);

impl Writer for Into<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
