//! What names a key in stored envelopes.

use std::fmt;

use super::{Secret, label};
use crate::derive;

/// Names a key and commits to it: 16 bytes derived from the secret itself.
///
/// `HKDF-Expand(secret, "mst1/key-id", 16)` (RFC 5869, SHA-256). Two secrets with the same id would take 2^64 tries to find
/// for somebody who chooses both, and 2^128 for somebody who does not: so keys that a tenant brings are sealed under
/// the suites with an explicit commitment. It is no secret.
///
/// ```
/// use memstache_crypto::{KeyId, Secret};
///
/// let id = KeyId::of(&Secret::from_bytes([7; 32]));
/// assert_eq!(KeyId::from_bytes(*id.as_bytes()), id);
/// assert_eq!(id.to_string().len(), 32);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// The bytes of an id.
    pub const LEN: usize = 16;

    /// Derives the id of a secret.
    pub fn of(secret: &Secret) -> Self {
        let mut id = [0; Self::LEN];
        derive::expand(&derive::prk(secret), &[label::KEY_ID], &mut id);
        Self(id)
    }

    /// Takes the bytes of an id, as a record or an envelope holds them.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_stable_printed_in_hexadecimal_and_another_for_another_secret() {
        let id = KeyId::of(&Secret::from_bytes([7; 32]));
        assert_ne!(id, KeyId::of(&Secret::from_bytes([8; 32])));
        assert_eq!((format!("{id}"), format!("{id:?}").len()), (format!("{id:?}"), 32));
        assert_eq!(KeyId::from_bytes([0xAB; 16]).to_string(), "ab".repeat(16));
    }
}
