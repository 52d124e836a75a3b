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
/// A format of your own takes an id from [`FormatId::FIRST_OWN`] on, and may wrap another:
///
/// ```
/// use bytes::Bytes;
/// use memstache_core::{Format, FormatId, Json, Result};
/// use serde::{Serialize, de::DeserializeOwned};
///
/// /// JSON with a line's end.
/// #[derive(Clone)]
/// struct Lines;
///
/// impl Format for Lines {
///     fn id(&self) -> FormatId {
///         FormatId(FormatId::FIRST_OWN.0 + 1)
///     }
///     fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
///         Ok([&Json.encode(value)?[..], b"\n"].concat().into())
///     }
///     fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
///         Json.decode(bytes)
///     }
/// }
/// assert_eq!(&Lines.encode(&7)?[..], b"7\n");
/// # Ok::<(), memstache_core::Error>(())
/// ```
///
/// A format is not a layer: types do not travel through a stack. Its id is stored with every value, and a value of
/// another format is a miss, never decoded.
#[diagnostic::on_unimplemented(note = "choose a format on the builder: `.format(Json)`")]
pub trait Format: Clone + Send + Sync + 'static {
    /// Returns the id that is stored with every value.
    fn id(&self) -> FormatId;

    /// Encodes a value; the buffer holds no more than the value.
    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes>;

    /// Decodes a value. Hostile bytes give an error of kind [`Rejected`](crate::ErrorKind::Rejected), never a panic.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T>;

    /// Decodes a value from bytes that may be shared: for formats that give out parts of them without copying.
    ///
    /// This is what a handle calls. Default: [`decode`](Self::decode).
    fn decode_shared<T: DeserializeOwned>(&self, bytes: &Bytes) -> Result<T> {
        self.decode(bytes)
    }
}
