//! Backups: opaque to clients, and only restored by the vault that made them.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use super::{Failure, Item, Name, Object, Plane};
use crate::random::Random;

/// What a vault seals its backups with.
#[derive(Clone, Serialize, Deserialize)]
pub(in super::super) struct BackupKey([u8; 32]);

impl BackupKey {
    pub(in super::super) fn random(random: &dyn Random) -> memstache_core::Result<Self> {
        let mut key = [0; 32];
        random.fill(&mut key)?;
        Ok(Self(key))
    }

    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("32 bytes are a key of AES-256"))
    }
}

impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupKey(..)")
    }
}

impl<T: Item> Plane<T> {
    /// Seals all versions of a name: nonce, then ciphertext and tag, in base64url.
    pub(in super::super) fn backup(
        &self,
        name: &Name,
        key: &BackupKey,
        random: &dyn Random,
    ) -> Result<String, Failure> {
        let mut text = serde_json::to_vec(self.object(name)?).map_err(|_| failed())?;
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce).map_err(|_| failed())?;
        let unique = Nonce::assume_unique_for_key(nonce);
        let sealed = key.cipher().seal_in_place_append_tag(unique, Aad::from(T::PATH), &mut text);
        sealed.map_err(|_| failed())?;
        Ok(BASE64URL_NOPAD.encode(&[&nonce[..], &text].concat()))
    }

    /// Opens a backup; nothing of it is read before it is known to be the vault's own.
    pub(in super::super) fn open(text: &str, key: &BackupKey) -> Result<Object<T>, Failure> {
        let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| foreign())?;
        let (nonce, sealed) = bytes.split_first_chunk_mut().ok_or_else(foreign)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.cipher().open_in_place(nonce, Aad::from(T::PATH), sealed).map_err(|_| foreign())?;
        serde_json::from_slice(opened).map_err(|_| foreign())
    }

    /// Puts back what a backup held.
    pub(in super::super) fn restore(&mut self, object: Object<T>) -> Result<&Object<T>, Failure> {
        self.refuse_deleted(&object.name)?;
        let folded = object.name.folded();
        if self.objects.contains_key(&folded) {
            return Err(Failure::conflict(format!("{} {} already exists.", T::KIND, object.name), None));
        }
        Ok(self.objects.entry(folded).or_insert(object))
    }
}

impl<T> Object<T> {
    pub(in super::super) fn len(&self) -> usize {
        self.versions.len()
    }
}

fn failed() -> Failure {
    Failure::internal("The backup could not be made.")
}

fn foreign() -> Failure {
    Failure::bad("The backup was not made by this vault.")
}
