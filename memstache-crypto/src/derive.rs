//! HKDF-SHA256 (RFC 5869) over secrets that are uniformly random already: expansion only.

use ring::hkdf::{HKDF_SHA256, KeyType, Prk};

use crate::key::Secret;

/// Takes a secret as the pseudorandom key.
pub(crate) fn prk(secret: &Secret) -> Prk {
    Prk::new_less_safe(HKDF_SHA256, secret.expose())
}

/// Fills `out` with what the key gives for the parts of an info, one after the other.
///
/// # Panics
/// If `out` is longer than 255 hashes, which no caller's is.
pub(crate) fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8]) {
    let filled = prk.expand(info, Len(out.len())).and_then(|okm| okm.fill(out));
    filled.expect("a few bytes are within what HKDF gives");
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}
