//! The key of an entry: derived for a salt, never stored.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{COMMITMENT_LEN, SALT_LEN, Suite};
use crate::{
    backend::{Backend, Cipher},
    key::{DataKey, KeyId, label},
};

/// `label ‖ suite ‖ key id ‖ salt`.
const INFO_LEN: usize = label::ENTRY.len() + 1 + KeyId::LEN + SALT_LEN;

/// What an entry is sealed with.
pub(crate) struct EntryKey {
    pub(crate) cipher: Cipher,
    commitment: Option<[u8; COMMITMENT_LEN]>,
}

impl EntryKey {
    /// Derives the key of a salt.
    #[inline(always)]
    pub(crate) fn derive(backend: Backend, key: &DataKey, suite: Suite, salt: &[u8; SALT_LEN]) -> Self {
        let info = info(key, suite, salt);
        if suite.is_committing() {
            return Self::committing(backend, key, suite, &info);
        }
        let mut secret = Zeroizing::new([0; 32]);
        key.prks().expand(backend, &info, &mut *secret);
        Self { cipher: Cipher::new(backend, suite.aead(), &secret), commitment: None }
    }

    #[inline(never)]
    fn committing(backend: Backend, key: &DataKey, suite: Suite, info: &[u8; INFO_LEN]) -> Self {
        let mut bytes = Zeroizing::new([0; 32 + COMMITMENT_LEN]);
        key.prks().expand(backend, info, &mut *bytes);
        let (secret, commitment) = bytes.split_first_chunk().expect("it is longer");
        let commitment = commitment.try_into().expect("the rest of it");
        Self { cipher: Cipher::new(backend, suite.aead(), secret), commitment: Some(commitment) }
    }

    /// What is written before the text; empty under a suite without a commitment.
    pub(crate) fn commitment(&self) -> &[u8] {
        self.commitment.as_ref().map_or(&[], |commitment| commitment)
    }

    /// Whether a stored commitment is that of this key, in constant time.
    pub(crate) fn is_committed_to(&self, stored: &[u8]) -> bool {
        self.commitment().ct_eq(stored).into()
    }
}

/// What an entry's key is derived for, in one piece: each piece is hashed by a call of its own.
fn info(key: &DataKey, suite: Suite, salt: &[u8; SALT_LEN]) -> [u8; INFO_LEN] {
    let mut info = [0; INFO_LEN];
    let (label, rest) = info.split_at_mut(label::ENTRY.len());
    label.copy_from_slice(label::ENTRY);
    rest[0] = suite.byte();
    rest[1..=KeyId::LEN].copy_from_slice(key.id_bytes());
    rest[1 + KeyId::LEN..].copy_from_slice(salt);
    info
}

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntryKey(..)")
    }
}
