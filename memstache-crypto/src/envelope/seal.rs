//! Making an envelope.

use bytes::Bytes;
use memstache_core::Address;

use super::{EntryKey, HEADER_LEN, INNER_LEN, Inner, MAGIC, PADDED, SALT_LEN, Suite, VERSION, associated, padme};
use crate::{
    backend::{NONCE_LEN, Refused, TAG_LEN},
    key::KeyId,
};

/// What an envelope's header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) suite: Suite,
    pub(crate) padded: bool,
    pub(crate) key_id: KeyId,
    pub(crate) salt: [u8; SALT_LEN],
    /// Used once for a key and salt.
    pub(crate) nonce: [u8; NONCE_LEN],
}

impl Opening {
    #[inline]
    fn write(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let flags = if self.padded { PADDED } else { 0 };
        out[..4].copy_from_slice(&[MAGIC, VERSION, self.suite.byte(), flags]);
        out[4..20].copy_from_slice(self.key_id.as_bytes());
        out[20..36].copy_from_slice(&self.salt);
        out[36..].copy_from_slice(&self.nonce);
        out
    }
}

/// Seals a value for where it belongs. One allocation: what comes out is encrypted in its place.
#[inline(always)]
pub(crate) fn seal(
    opening: &Opening,
    key: &EntryKey,
    address: &Address,
    inner: &Inner,
    value: &[u8],
) -> Result<Bytes, Refused> {
    let head = HEADER_LEN + key.commitment().len();
    let plain = INNER_LEN + value.len();
    let text = if opening.padded { padme(plain) } else { plain };
    let len = head + text + TAG_LEN;
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&opening.write());
    out.extend_from_slice(key.commitment());
    out.extend_from_slice(&inner.write());
    out.resize(head + text - value.len(), 0);
    out.extend_from_slice(value);
    let (header, text) = out.split_at_mut(head);
    let tag = associated::with(header, address, |aad| key.cipher.seal(opening.nonce, aad, text))?;
    out.extend_from_slice(&tag);
    debug_assert_eq!((out.len(), out.capacity()), (len, len), "a second allocation");
    Ok(out.into())
}
