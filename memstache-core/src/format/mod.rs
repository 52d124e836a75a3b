//! Typed values to bytes and back.

#[cfg(feature = "json")]
mod json;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

#[cfg(feature = "json")]
pub use self::json::Json;
use crate::{entry::FormatId, error::Result};

/// Turns typed values into bytes and back.
///
/// A format is not a layer: types do not travel through a stack. Its id is stored with every value, and a value of
/// another format is a miss, never decoded.
pub trait Format: Clone + Send + Sync + 'static {
    /// Returns the id that is stored with every value.
    fn id(&self) -> FormatId;

    /// Encodes a value; the buffer holds no more than the value.
    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes>;

    /// Decodes a value. Hostile bytes give an error of kind [`Rejected`](crate::ErrorKind::Rejected), never a panic.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T>;
}
