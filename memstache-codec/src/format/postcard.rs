//! postcard, by the crate of that name.

use bytes::Bytes;
use memstache_core::{BufferPool, Format, FormatId, Result};
use serde::{
    Serialize,
    de::{DeserializeOwned, DeserializeSeed},
};

use super::{
    errors::{unreadable, unwritable},
    guard::Seed,
};

/// postcard (its wire format 1): the smallest, the fastest to read, and the one to begin with.
///
/// It is not self-describing: a struct with a field more, less or elsewhere reads other bytes, which may even succeed.
/// Give the cache a schema, and raise its version with every such change.
///
/// ```
/// use memstache_codec::Postcard;
/// use memstache_core::{ErrorKind, Format};
///
/// let bytes = Postcard.encode(&("tea", 300u32))?;
/// assert_eq!(&bytes[..], b"\x03tea\xac\x02");
/// assert_eq!(Postcard.decode::<(String, u32)>(&bytes)?, ("tea".to_owned(), 300));
/// assert_eq!(Postcard.decode::<(String, u32)>(&bytes[..3]).unwrap_err().kind(), ErrorKind::Rejected);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit that is written as `Postcard`")]
pub struct Postcard;

impl Format for Postcard {
    fn id(&self) -> FormatId {
        FormatId::POSTCARD
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        let mut buffer = BufferPool::global().rent_typical();
        postcard::serialize_with_flavor(value, Into(&mut buffer))
            .map_err(|error| unwritable("the value cannot be written as postcard", error))?;
        Ok(buffer.to_bytes())
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        let rejected = || unreadable("the stored value is not this postcard");
        let mut reader = postcard::Deserializer::from_bytes(bytes);
        let value = Seed::<T>::new(bytes.len()).deserialize(&mut reader).map_err(|_| rejected())?;
        // Bytes that are left over belong to another type.
        if reader.finalize().is_ok_and(<[u8]>::is_empty) { Ok(value) } else { Err(rejected()) }
    }
}

/// Writes into a buffer that is there already.
struct Into<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Into<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
