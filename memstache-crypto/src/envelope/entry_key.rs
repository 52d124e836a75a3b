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
    pub(crate) fn derive(backend: Backend, key: &DataKey, suite: Suite, salt: &[u8; SALT_LEN]) -> Self {
        let (id, suite_byte) = (key.id(), [suite.byte()]);
        let info: [&[u8]; 4] = [label::ENTRY, &suite_byte, id.as_bytes(), salt];
        let mut bytes = Zeroizing::new([0; 32 + COMMITMENT_LEN]);
        let len = if suite.is_committing() { bytes.len() } else { 32 };
        key.prks().expand(backend, &info, &mut bytes[..len]);
        let (secret, commitment) = bytes.split_first_chunk().expect("it is longer");
        let commitment = suite.is_committing().then(|| commitment.try_into().expect("the rest of it"));
        Self { cipher: Cipher::new(backend, suite.aead(), secret), commitment }
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
