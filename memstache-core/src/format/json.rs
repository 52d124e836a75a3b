//! JSON, by serde_json.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::Format;
use crate::{
    buffer::BufferPool,
    entry::FormatId,
    error::{Error, ErrorKind, Result},
};

/// JSON (RFC 8259): readable by everything, larger and slower than binary formats.
///
/// ```
/// use memstache_core::{Format, Json};
///
/// let bytes = Json.encode(&("tea", 3))?;
/// assert_eq!(&bytes[..], br#"["tea",3]"#);
/// assert_eq!(Json.decode::<(String, u32)>(&bytes)?, ("tea".to_owned(), 3));
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit that is written as `Json`")]
pub struct Json;

impl Format for Json {
    fn id(&self) -> FormatId {
        FormatId::JSON
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        let mut buffer = BufferPool::global().rent_typical();
        match serde_json::to_writer(&mut *buffer, value) {
            Ok(()) => Ok(buffer.to_bytes()),
            Err(error) => Err(Error::new(ErrorKind::Invalid, "the value cannot be written as JSON").with_source(error)),
        }
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        // The cause is left out: serde's messages quote the value.
        serde_json::from_slice(bytes).map_err(|_| Error::new(ErrorKind::Rejected, "the stored value is not this JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_come_back_as_they_were() {
        // serde_json reads the last digit of this one wrong unless it is told not to.
        for float in [8.860472546771423e299, f64::MIN_POSITIVE, f64::MAX, 0.1 + 0.2, -0.0] {
            let bytes = Json.encode(&float).unwrap();
            assert_eq!(Json.decode::<f64>(&bytes).unwrap().to_bits(), float.to_bits());
        }
    }
}
