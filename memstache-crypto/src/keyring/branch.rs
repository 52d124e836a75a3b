//! A branch key: wraps the keys of tenants and authenticates their records.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use memstache_core::{Error, ErrorKind, Result};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};
use zeroize::Zeroizing;

use super::{
    line::Version,
    record::{MAC, damaged},
};
use crate::{
    derive,
    key::{KeyId, Secret},
    random::Random,
};

/// Derives the key that wraps.
const WRAP: &[u8] = b"mst1/wrap";
/// Derives the key that authenticates records.
const RECORD_MAC: &[u8] = b"mst1/record-mac";
/// What the associated data of a wrapped key begins with.
const WRAP_AAD: &[u8] = b"mst1/wrap-aad";

const NONCE: usize = 12;
const TAG: usize = 16;
/// Bytes of a wrapped key: nonce, ciphertext, tag.
const WRAPPED: usize = NONCE + Secret::LEN + TAG;

/// What a branch key's secret is good for, ready for use. `Debug` shows its id.
pub(super) struct BranchKey {
    id: KeyId,
    /// Kept for the vault: a new master key wraps it again.
    secret: Secret,
    wrap: LessSafeKey,
    mac: hmac::Key,
}

impl BranchKey {
    pub(super) fn new(secret: Secret) -> Self {
        let prk = derive::prk(&secret);
        let part = |label: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            derive::expand(&prk, &[label], &mut *key);
            key
        };
        let wrap = UnboundKey::new(&AES_256_GCM, &*part(WRAP)).expect("32 bytes are a key of AES-256");
        Self {
            id: KeyId::of(&secret),
            wrap: LessSafeKey::new(wrap),
            mac: hmac::Key::new(hmac::HMAC_SHA256, &*part(RECORD_MAC)),
            secret,
        }
    }

    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The code of a record's body.
    pub(super) fn mac(&self, body: &[u8]) -> [u8; MAC] {
        *hmac::sign(&self.mac, body).as_ref().first_chunk().expect("SHA-256 has 32 bytes")
    }

    /// Checks a code, in constant time.
    pub(super) fn verifies(&self, body: &[u8], mac: &[u8; MAC]) -> bool {
        hmac::verify(&self.mac, body, mac).is_ok()
    }

    /// Wraps the secret of a version, bound to its line and to all of its fields that never change.
    pub(super) fn wrap(
        &self,
        tag: &[u8; 16],
        version: &Version,
        secret: &Secret,
        random: &dyn Random,
    ) -> Result<Bytes> {
        let mut nonce = [0; NONCE];
        random.fill(&mut nonce)?;
        let mut text = Zeroizing::new(*secret.expose());
        let aad = Aad::from(self.aad(tag, version));
        let nonce_of = Nonce::assume_unique_for_key(nonce);
        let sealed = self.wrap.seal_in_place_separate_tag(nonce_of, aad, &mut *text);
        let sealed = sealed.map_err(|_| Error::new(ErrorKind::Unsupported, "the key could not be wrapped"))?;
        let mut out = BytesMut::with_capacity(WRAPPED);
        out.put_slice(&nonce);
        out.put_slice(&*text);
        out.put_slice(sealed.as_ref());
        Ok(out.freeze())
    }

    /// Unwraps the secret of a version, and checks that it is the one that the version names.
    ///
    /// Error: [`Rejected`](ErrorKind::Rejected).
    pub(super) fn unwrap(&self, tag: &[u8; 16], version: &Version) -> Result<Secret> {
        let bad = || damaged("a wrapped key does not open");
        let (nonce, sealed) = version.wrapped.split_first_chunk::<NONCE>().ok_or_else(bad)?;
        if sealed.len() != WRAPPED - NONCE {
            return Err(bad());
        }
        let mut text = Zeroizing::new([0; Secret::LEN + TAG]);
        text.copy_from_slice(sealed);
        let aad = Aad::from(self.aad(tag, version));
        let opened = self.wrap.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut *text);
        let opened = opened.map_err(|_| bad())?;
        let secret = Secret::from_bytes(*opened.first_chunk().ok_or_else(bad)?);
        // The id commits to the key: another one under the same name is a swapped record.
        if KeyId::of(&secret) != version.id {
            return Err(damaged("a wrapped key is another than its id says"));
        }
        Ok(secret)
    }

    /// Every field has one length, so no two versions share their associated data.
    fn aad(&self, tag: &[u8; 16], version: &Version) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.put_slice(WRAP_AAD);
        out.put_slice(self.id.as_bytes());
        out.put_slice(tag);
        out.put_u32(version.number);
        out.put_slice(version.id.as_bytes());
        out.put_u64(version.created_at);
        out
    }
}

impl fmt::Debug for BranchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BranchKey").field("id", &self.id).finish_non_exhaustive()
    }
}
