//! A key that hides names.

use std::fmt;

use ring::hmac;
use zeroize::Zeroizing;

use super::{KeyId, Secret, label};
use crate::derive;

/// The bytes of a blind name.
pub(crate) const BLIND_LEN: usize = 16;
/// The bytes of a tenant's tag.
pub(crate) const TAG_LEN: usize = 6;

/// A key that turns the names of a tenant into blind ones, by HMAC-SHA256 (RFC 2104).
///
/// One for each tenant, apart from the keys of its values: rotating those does not rename everything. `Debug` shows its
/// id.
pub struct NameKey {
    id: KeyId,
    key: hmac::Key,
    tag: [u8; TAG_LEN],
}

impl NameKey {
    /// Makes a key of a secret.
    #[expect(clippy::needless_pass_by_value, reason = "the secret ends here")]
    pub fn new(secret: Secret) -> Self {
        let prk = derive::prk(&secret);
        let (mut key, mut tag) = (Zeroizing::new([0; 32]), [0; TAG_LEN]);
        derive::expand(&prk, &[label::NAME], &mut *key);
        derive::expand(&prk, &[label::TENANT_TAG], &mut tag);
        Self { id: KeyId::of(&secret), key: hmac::Key::new(hmac::HMAC_SHA256, &*key), tag }
    }

    /// Returns the key's id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What the tenant's blind names begin with.
    pub(crate) fn tag(&self) -> &[u8; TAG_LEN] {
        &self.tag
    }

    /// Hashes the parts of a name, one after the other.
    pub(crate) fn blind(&self, parts: &[&[u8]]) -> [u8; BLIND_LEN] {
        let mut hash = hmac::Context::with_key(&self.key);
        parts.iter().for_each(|part| hash.update(part));
        let hash = hash.sign();
        *hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes")
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameKey").field("id", &self.id).finish_non_exhaustive()
    }
}
