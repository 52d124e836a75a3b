//! Formats of one's own, chosen by name and so without a type parameter.

use std::fmt::Debug;

use bytes::Bytes;
use memstache_core::{BufferPool, Error, ErrorKind, FormatId, Result};
use serde::{Serialize, de::DeserializeOwned};

/// A format of your own that can be chosen by name; see [`Formats`](crate::Formats) for an example.
///
/// It works on erased values, at the price of an indirect call per field. A format that need not be chosen by name
/// implements [`Format`](memstache_core::Format) instead.
pub trait OwnFormat: Debug + Send + Sync + 'static {
    /// Returns the name by which it is chosen.
    fn name(&self) -> &str;

    /// Returns the id that is stored with every value, from [`FormatId::FIRST_OWN`] on; never change it.
    fn id(&self) -> FormatId;

    /// Appends the encoded value.
    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<()>;

    /// Makes a deserializer of the bytes and lets `read` read from it.
    ///
    /// Hostile bytes give an error of kind [`Rejected`](ErrorKind::Rejected), never a panic.
    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<()>,
    ) -> Result<()>;
}

pub(super) fn encode<T: Serialize + ?Sized>(own: &dyn OwnFormat, value: &T) -> Result<Bytes> {
    let mut buffer = BufferPool::global().rent_typical();
    own.encode(&value, &mut buffer)?;
    Ok(buffer.to_bytes())
}

pub(super) fn decode<T: DeserializeOwned>(own: &dyn OwnFormat, bytes: &[u8]) -> Result<T> {
    let rejected = || Error::new(ErrorKind::Rejected, "the stored value is not of this format");
    let mut value = None;
    own.decode(bytes, &mut |reader| {
        value = Some(erased_serde::deserialize(reader).map_err(|_| rejected())?);
        Ok(())
    })?;
    value.ok_or_else(rejected)
}
