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

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::{keyring::line::Fate, random::SystemRandom};

    const TAG: [u8; 16] = [3; 16];
    /// Made by another program, from RFC 5869 and AES-256-GCM; never made anew.
    const GOLDEN: &str = "000102030405060708090a0bdc4e9c58c5897214dc3b134438a6f452e0b546c85d166a917d869ad52f6e79b7\
        6f0b8e2bb48b24913c6e7173a375c07f";

    fn branch(seed: u8) -> BranchKey {
        BranchKey::new(Secret::from_bytes([seed; 32]))
    }

    fn secret() -> Secret {
        Secret::from_bytes([9; 32])
    }

    fn version(wrapped: Bytes) -> Version {
        let id = KeyId::of(&secret());
        Version { number: 5, id, created_at: 3_500, activate_at: 3_500, fate: Fate::Live, wrapped }
    }

    fn wrapped() -> Version {
        let empty = version(Bytes::new());
        version(branch(7).wrap(&TAG, &empty, &secret(), &SystemRandom::new()).unwrap())
    }

    #[test]
    fn golden_bytes_open_for_ever() {
        let golden = version(HEXLOWER.decode(GOLDEN.as_bytes()).unwrap().into());
        assert_eq!(branch(7).unwrap(&TAG, &golden).unwrap(), secret());
        assert_eq!(wrapped().wrapped.len(), golden.wrapped.len());
    }

    #[test]
    fn a_wrapped_key_opens_only_where_it_belongs() {
        let good = wrapped();
        assert_eq!(branch(7).unwrap(&TAG, &good).unwrap(), secret());
        let refused = |key: &BranchKey, tag: &[u8; 16], version: &Version| {
            assert_eq!(key.unwrap(tag, version).unwrap_err().kind(), ErrorKind::Rejected);
        };
        refused(&branch(8), &TAG, &good);
        refused(&branch(7), &[4; 16], &good);
        refused(&branch(7), &TAG, &Version { number: 6, ..good.clone() });
        refused(&branch(7), &TAG, &Version { created_at: 3_501, ..good.clone() });
        refused(&branch(7), &TAG, &Version { id: KeyId::from_bytes([1; 16]), ..good.clone() });
        for at in 0..good.wrapped.len() {
            let mut bytes = good.wrapped.to_vec();
            bytes[at] ^= 1;
            refused(&branch(7), &TAG, &version(bytes.into()));
            refused(&branch(7), &TAG, &version(good.wrapped.slice(..at)));
        }
    }

    #[test]
    fn a_key_that_is_another_than_its_id_says_is_refused() {
        // Somebody who has the branch key wraps another secret under the same id.
        let lying = version(Bytes::new());
        let other = Secret::from_bytes([10; 32]);
        let lying = version(branch(7).wrap(&TAG, &lying, &other, &SystemRandom::new()).unwrap());
        let error = branch(7).unwrap(&TAG, &lying).unwrap_err().to_string();
        assert_eq!(error, "the key record is damaged: a wrapped key is another than its id says");
    }

    #[test]
    fn codes_are_of_the_key_and_of_the_body() {
        let mac = branch(7).mac(b"body");
        assert!(branch(7).verifies(b"body", &mac));
        assert!(!branch(8).verifies(b"body", &mac) && !branch(7).verifies(b"bodz", &mac));
        assert_eq!(format!("{:?}", branch(7)), format!("BranchKey {{ id: {}, .. }}", branch(7).id()));
    }
}
