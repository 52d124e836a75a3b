//! Master keys that are RSA keys in PEM.

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use memstache_core::ErrorKind;
use zeroize::Zeroizing;

use super::{
    KeyProvider, MasterVersion, ProviderError, ProviderErrorKind, WrappedKey, file, invalid, local::MAX_VERSIONS,
};
use crate::{key::Secret, rsa::RsaPrivateKey};

const ID: &str = "rsa";

/// Private RSA keys of 2048 to 4096 bits as master keys: RSA-OAEP-256, as vaults do it.
///
/// The last key wraps, all unwrap; a version is named by the fingerprint of its public half. An operator makes a new version
/// by adding a key and restarting the nodes one by one. What the branch key is for is bound as the label. Needs a tokio
/// runtime: unwrapping takes milliseconds and is done on its blocking threads.
///
/// ```
/// use memstache_crypto::{KeyProvider, RsaPrivateKey, RsaProvider, Secret};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pem = RsaPrivateKey::generate(2048)?.dangerous_to_pem()?;
/// let provider = RsaProvider::from_pem([pem.as_str()])?;
/// let key = Secret::from_bytes([7; 32]);
/// let wrapped = provider.wrap(&provider.current().await?, &key, b"what it is for").await?;
/// assert_eq!(provider.unwrap(&wrapped, b"what it is for").await?, key);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RsaProvider(Arc<Vec<RsaPrivateKey>>);

impl RsaProvider {
    /// Reads keys from texts in PEM (PKCS #8), the newest last.
    ///
    /// Error: [`Invalid`](ProviderErrorKind::Invalid) for a text that is no such key, none at all, the same one twice, or
    /// more than 64.
    pub fn from_pem<'a>(pems: impl IntoIterator<Item = &'a str>) -> Result<Self, ProviderError> {
        let keys = pems.into_iter().take(MAX_VERSIONS + 1).map(RsaPrivateKey::from_pem);
        let keys: Vec<_> = keys.collect::<Result<_, _>>().map_err(|error| invalid_key(&error))?;
        if keys.is_empty() || keys.len() > MAX_VERSIONS {
            return Err(invalid("RSA keys", format_args!("1 to {MAX_VERSIONS}"), keys.len()));
        }
        let twice = |at: usize| keys[..at].iter().any(|other| fingerprint(other) == fingerprint(&keys[at]));
        if (0..keys.len()).any(twice) {
            return Err(invalid("RSA keys", "different", "a key twice"));
        }
        Ok(Self(Arc::new(keys)))
    }

    /// Reads a key from each file, the newest last; blocking. Files that others may read are refused, as by
    /// [`FileProvider`](super::FileProvider).
    ///
    /// Errors: [`NotFound`](ProviderErrorKind::NotFound), [`Forbidden`](ProviderErrorKind::Forbidden), and those of
    /// [`from_pem`](Self::from_pem).
    pub fn from_files(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self, ProviderError> {
        let mut pems: Vec<Zeroizing<String>> = Vec::new();
        for path in paths.into_iter().take(MAX_VERSIONS + 1) {
            let text = file::read_private(path.as_ref())?;
            pems.push(text.ok_or_else(|| ProviderError::new(ProviderErrorKind::NotFound, "there is no such file"))?);
        }
        Self::from_pem(pems.iter().map(|pem| pem.as_str()))
    }

    fn find(&self, version: &str) -> Result<usize, ProviderError> {
        let found = self.0.iter().position(|key| fingerprint(key) == version);
        found.ok_or_else(|| {
            ProviderError::new(ProviderErrorKind::NotFound, "there is no such version of the master key")
        })
    }
}

fn fingerprint(key: &RsaPrivateKey) -> String {
    key.public().fingerprint()
}

fn invalid_key(error: &memstache_core::Error) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Invalid, error.to_string())
}

#[async_trait]
impl KeyProvider for RsaProvider {
    fn id(&self) -> &str {
        ID
    }

    async fn current(&self) -> Result<MasterVersion, ProviderError> {
        MasterVersion::new(fingerprint(self.0.last().expect("there is at least one key")))
    }

    async fn wrap(&self, master: &MasterVersion, key: &Secret, aad: &[u8]) -> Result<WrappedKey, ProviderError> {
        let at = self.find(master.version())?;
        let wrapped = self.0[at].public().encrypt(key.expose(), aad).map_err(|error| invalid_key(&error))?;
        WrappedKey::new(ID, master, wrapped.into())
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Secret, ProviderError> {
        let at = self.find(wrapped.version())?;
        let (keys, sealed, aad) = (Arc::clone(&self.0), wrapped.bytes().to_vec(), aad.to_vec());
        let bad = || ProviderError::new(ProviderErrorKind::Invalid, "the wrapped key does not open");
        let opened = file::blocking(move || match keys[at].decrypt(&sealed, &aad) {
            Err(error) if error.kind() == ErrorKind::Rejected => Err(bad()),
            other => other.map_err(|error| invalid_key(&error)),
        });
        let opened = opened.await?;
        Ok(Secret::from_bytes(opened.as_slice().try_into().map_err(|_| bad())?))
    }

    async fn rotate(&self) -> Result<MasterVersion, ProviderError> {
        Err(ProviderError::new(ProviderErrorKind::Unsupported, "add a key, and restart the nodes"))
    }
}

impl fmt::Debug for RsaProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RsaProvider").field(&self.0).finish()
    }
}
