//! Wrapping with master keys that are at hand, AES-256-GCM.

use std::time::SystemTime;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{MasterVersion, ProviderError, ProviderErrorKind, WrappedKey, invalid};
use crate::{
    key::Secret,
    random::{Random, SystemRandom},
};

const NONCE: usize = 12;
const TAG: usize = 16;

/// The most versions that one provider holds.
pub(super) const MAX_VERSIONS: usize = 64;

/// One version of a master key.
#[derive(Clone, Debug)]
pub(super) struct LocalKey {
    pub(super) number: u32,
    pub(super) secret: Secret,
    pub(super) created_at: Option<SystemTime>,
}

/// All versions of a master key, by rising number.
#[derive(Clone, Debug, Default)]
pub(super) struct LocalKeys(Vec<LocalKey>);

impl LocalKeys {
    /// Takes versions in any order; their numbers must differ, and so must the keys.
    pub(super) fn new(mut keys: Vec<LocalKey>) -> Result<Self, ProviderError> {
        if keys.len() > MAX_VERSIONS {
            let limit = format_args!("at most {MAX_VERSIONS}");
            return Err(invalid("master key versions", limit, keys.len()));
        }
        keys.sort_by_key(|key| key.number);
        if keys.windows(2).any(|pair| pair[0].number == pair[1].number) {
            return Err(invalid("master key versions", "of different numbers", "a number twice"));
        }
        if keys.iter().enumerate().any(|(at, key)| keys[..at].iter().any(|other| other.secret == key.secret)) {
            return Err(invalid("master key versions", "different keys", "a key twice"));
        }
        Ok(Self(keys))
    }

    pub(super) fn all(&self) -> &[LocalKey] {
        &self.0
    }

    pub(super) fn current(&self) -> Result<MasterVersion, ProviderError> {
        let key = self.0.last().ok_or_else(|| not_found("there is no master key"))?;
        key.handle()
    }

    pub(super) fn wrap(
        &self,
        provider: &str,
        master: &MasterVersion,
        key: &Secret,
        aad: &[u8],
    ) -> Result<WrappedKey, ProviderError> {
        let cipher = cipher(self.find(master.version())?);
        let mut nonce = [0; NONCE];
        let failed = |_| ProviderError::new(ProviderErrorKind::Unavailable, "there is no randomness");
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut text = Zeroizing::new(*key.expose());
        let tag = cipher
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut *text)
            .map_err(|_| ProviderError::new(ProviderErrorKind::Invalid, "the key could not be wrapped"))?;
        let bytes = [&nonce[..], &text[..], tag.as_ref()].concat();
        WrappedKey::new(provider, master, bytes.into())
    }

    pub(super) fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Secret, ProviderError> {
        let bad = || ProviderError::new(ProviderErrorKind::Invalid, "the wrapped key does not open");
        let cipher = cipher(self.find(wrapped.version())?);
        let (nonce, sealed) = wrapped.bytes().split_first_chunk::<NONCE>().ok_or_else(bad)?;
        if sealed.len() != Secret::LEN + TAG {
            return Err(bad());
        }
        let mut text = Zeroizing::new([0; Secret::LEN + TAG]);
        text.copy_from_slice(sealed);
        let opened = cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut *text);
        let opened = opened.map_err(|_| bad())?;
        Ok(Secret::from_bytes(*opened.first_chunk().ok_or_else(bad)?))
    }

    fn find(&self, version: &str) -> Result<&Secret, ProviderError> {
        let found = self.0.iter().find(|key| key.number.to_string() == version);
        found.map(|key| &key.secret).ok_or_else(|| not_found("there is no such version of the master key"))
    }
}

impl LocalKey {
    pub(super) fn handle(&self) -> Result<MasterVersion, ProviderError> {
        let handle = MasterVersion::new(self.number.to_string())?;
        Ok(self.created_at.map_or_else(|| handle.clone(), |time| handle.clone().with_created_at(time)))
    }
}

fn cipher(secret: &Secret) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret.expose()).expect("32 bytes are a key of AES-256"))
}

fn not_found(detail: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::NotFound, detail)
}
