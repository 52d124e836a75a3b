//! MessagePack, by rmp-serde.

use bytes::Bytes;
use memstache_core::{BufferPool, Format, FormatId, Result};
use rmp_serde::decode;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, DeserializeSeed},
};

use super::{
    errors::{unreadable, unwritable},
    guard::Seed,
};

/// MessagePack with named fields: read by everything, smaller and faster than JSON.
///
/// Structs are maps with the names of their fields, so that one that has gained an optional field still reads what was
/// written before.
///
/// ```
/// use memstache_codec::MessagePack;
/// use memstache_core::Format;
///
/// let bytes = MessagePack.encode(&("tea", 300u32))?;
/// assert_eq!(&bytes[..], b"\x92\xa3tea\xcd\x01\x2c");
/// assert_eq!(MessagePack.decode::<(String, u32)>(&bytes)?, ("tea".to_owned(), 300));
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit that is written as `MessagePack`")]
pub struct MessagePack;

impl Format for MessagePack {
    fn id(&self) -> FormatId {
        FormatId::MESSAGE_PACK
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        let mut buffer = BufferPool::global().rent_typical();
        rmp_serde::encode::write_named(&mut *buffer, value)
            .map_err(|error| unwritable("the value cannot be written as MessagePack", error))?;
        Ok(buffer.to_bytes())
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        let rejected = || unreadable("the stored value is not this MessagePack");
        let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
        let value = Seed::<T>::new(bytes.len()).deserialize(&mut reader).map_err(|_| rejected())?;
        // The reader does not say where it stands: at the end, and only there, it finds no marker of nothing.
        match <()>::deserialize(&mut reader) {
            Err(decode::Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(rejected()),
        }
    }
}
