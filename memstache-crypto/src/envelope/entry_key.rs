//! The key of an entry: derived for a salt, never stored.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{COMMITMENT_LEN, SALT_LEN, Suite};
use crate::{
    backend::{Backend, Cipher},
    key::{DataKey, label},
};

/// What an entry is sealed with.
pub(crate) struct EntryKey {
    pub(crate) cipher: Cipher,
    commitment: Option<[u8; COMMITMENT_LEN]>,
}

impl EntryKey {
    /// Derives the key of a salt.
    #[inline]
    pub(crate) fn derive(backend: Backend, key: &DataKey, suite: Suite, salt: &[u8; SALT_LEN]) -> Self {
        let suite_byte = [suite.byte()];
        let info: [&[u8]; 4] = [label::ENTRY, &suite_byte, key.id_bytes(), salt];
        if suite.is_committing() {
            return Self::committing(backend, key, suite, &info);
        }
        let mut secret = Zeroizing::new([0; 32]);
        key.prks().expand(backend, &info, &mut *secret);
        Self { cipher: Cipher::new(backend, suite.aead(), &secret), commitment: None }
    }

    fn committing(backend: Backend, key: &DataKey, suite: Suite, info: &[&[u8]]) -> Self {
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

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntryKey(..)")
    }
}
