//! Where master keys are kept.

#[cfg(feature = "azure")]
mod azure;
mod environment;
mod error;
mod file;
mod fixed;
mod local;
#[cfg(feature = "rsa")]
mod rsa;

use std::{fmt, time::SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use memstache_core::{Error, Result};

#[cfg(feature = "azure")]
pub use self::azure::{AzureAuth, AzureKeyVault, AzureKeyVaultBuilder, AzureKeys, AzureSecrets};
#[cfg(feature = "rsa")]
pub use self::rsa::RsaProvider;
pub use self::{
    environment::EnvironmentProvider,
    error::{ProviderError, ProviderErrorKind},
    file::FileProvider,
    fixed::StaticProvider,
};
use crate::key::Secret;

/// Longest name of a provider or of a version of its master key, in bytes.
pub const MAX_PROVIDER_LABEL: usize = 128;

/// Keeps a master key and wraps branch keys with it: a vault, an HSM, or a file for development.
///
/// It is called when a node starts, once an hour in the background for each branch key, and when keys are managed; never
/// on the path of a request. Several calls may run at once. A call that takes longer than 20 seconds is given up by the
/// keyring: its future is dropped.
///
/// A vault of your own is twenty lines:
///
/// ```
/// use async_trait::async_trait;
/// use bytes::Bytes;
/// use memstache_crypto::{KeyProvider, MasterVersion, ProviderError, ProviderErrorKind, Secret, WrappedKey};
///
/// # #[derive(Debug)] struct Client;
/// # #[derive(Debug)] struct Failed(u16);
/// # impl std::fmt::Display for Failed { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{}", self.0) } }
/// # impl std::error::Error for Failed {}
/// # impl Client {
/// #     async fn newest_version(&self) -> Result<String, Failed> { Ok("7".into()) }
/// #     async fn new_version(&self) -> Result<String, Failed> { Err(Failed(403)) }
/// #     async fn encrypt(&self, _: &str, plain: &[u8], _: &[u8]) -> Result<Vec<u8>, Failed> { Ok(plain.iter().map(|b| !b).collect()) }
/// #     async fn decrypt(&self, _: &str, sealed: &[u8], _: &[u8]) -> Result<Vec<u8>, Failed> { Ok(sealed.iter().map(|b| !b).collect()) }
/// # }
/// #[derive(Debug)]
/// struct MyVault(Client);
///
/// fn error(failed: Failed) -> ProviderError {
///     let kind = match failed.0 {
///         403 => ProviderErrorKind::Forbidden,
///         429 => ProviderErrorKind::Throttled,
///         404 => ProviderErrorKind::NotFound,
///         _ => ProviderErrorKind::Unavailable,
///     };
///     ProviderError::new(kind, "my vault").with_source(failed)
/// }
///
/// #[async_trait]
/// impl KeyProvider for MyVault {
///     fn id(&self) -> &str {
///         "my-vault"
///     }
///     async fn current(&self) -> Result<MasterVersion, ProviderError> {
///         Ok(MasterVersion::new(self.0.newest_version().await.map_err(error)?)?)
///     }
///     async fn wrap(&self, master: &MasterVersion, key: &Secret, aad: &[u8]) -> Result<WrappedKey, ProviderError> {
///         let bytes = self.0.encrypt(master.version(), key.expose(), aad).await.map_err(error)?;
///         Ok(WrappedKey::new(self.id(), master, bytes.into())?)
///     }
///     async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Secret, ProviderError> {
///         let bytes = self.0.decrypt(wrapped.version(), wrapped.bytes(), aad).await.map_err(error)?;
///         let invalid = |_| ProviderError::new(ProviderErrorKind::Invalid, "not 32 bytes");
///         Ok(Secret::from_bytes(bytes.try_into().map_err(invalid)?))
///     }
///     async fn rotate(&self) -> Result<MasterVersion, ProviderError> {
///         Ok(MasterVersion::new(self.0.new_version().await.map_err(error)?)?)
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ProviderError> {
/// let vault = MyVault(Client);
/// let key = Secret::from_bytes([7; 32]);
/// let wrapped = vault.wrap(&vault.current().await?, &key, b"bound").await?;
/// assert_eq!(vault.unwrap(&wrapped, b"bound").await?, key);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait KeyProvider: fmt::Debug + Send + Sync + 'static {
    /// Returns the provider's name: which vault it is, 1 to 128 visible ASCII characters. It is stored beside what it
    /// wraps, and another provider's is refused.
    fn id(&self) -> &str;

    /// Returns the version of the master key that wraps.
    ///
    /// Error: [`NotFound`](ProviderErrorKind::NotFound) while there is no master key.
    async fn current(&self) -> Result<MasterVersion, ProviderError>;

    /// Wraps a branch key with a version of the master key. A keyring unwraps what it got at once, to see that it can.
    ///
    /// `aad` says what the key is for. A vault that can bind it must; what a vault cannot bind (RSA-OAEP), the record's
    /// own authentication covers.
    async fn wrap(&self, master: &MasterVersion, key: &Secret, aad: &[u8]) -> Result<WrappedKey, ProviderError>;

    /// Unwraps a branch key with the version that it names.
    ///
    /// Error: [`Invalid`](ProviderErrorKind::Invalid) for what this master key did not wrap.
    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Secret, ProviderError>;

    /// Makes a new version of the master key, the first one if there is none, and returns it. Old versions go on to
    /// unwrap.
    ///
    /// Error: [`Unsupported`](ProviderErrorKind::Unsupported) where an operator has to do it.
    async fn rotate(&self) -> Result<MasterVersion, ProviderError>;
}

/// A version of a master key, as its provider names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterVersion {
    version: String,
    created_at: Option<SystemTime>,
}

impl MasterVersion {
    /// Names a version, 1 to 128 visible ASCII characters.
    pub fn new(version: impl Into<String>) -> Result<Self, ProviderError> {
        let version = version.into();
        check("master key version", &version)?;
        Ok(Self { version, created_at: None })
    }

    /// Adds when it was made: what rotation by age goes by.
    #[must_use]
    pub fn with_created_at(mut self, time: SystemTime) -> Self {
        self.created_at = Some(time);
        self
    }

    /// Returns the version's name.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns when it was made, if the provider knows.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.created_at
    }
}

/// A branch key as a master key wrapped it.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    provider: String,
    version: String,
    bytes: Bytes,
}

impl WrappedKey {
    /// Longest wrapped key, in bytes.
    pub const MAX: usize = 640;

    /// Takes what a provider wrapped with a version of its master key, 1 to 640 bytes.
    pub fn new(provider: &str, master: &MasterVersion, bytes: Bytes) -> Result<Self, ProviderError> {
        check("provider id", provider)?;
        if bytes.is_empty() || bytes.len() > Self::MAX {
            let given = format_args!("{} bytes", bytes.len());
            return Err(invalid("wrapped key", format_args!("1 to {} bytes long", Self::MAX), given));
        }
        Ok(Self { provider: provider.to_owned(), version: master.version.clone(), bytes })
    }

    /// Returns the provider's name.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns the version of the master key that wrapped it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The version of the master key, as a handle.
    pub(crate) fn master(&self) -> Result<MasterVersion, ProviderError> {
        MasterVersion::new(self.version.clone())
    }

    /// Returns the wrapped bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    // Layout: length (1 byte) and provider, length (1 byte) and version, then the wrapped bytes to the end.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(2 + self.provider.len() + self.version.len() + self.bytes.len());
        for text in [&self.provider, &self.version] {
            out.push(u8::try_from(text.len()).expect("labels have at most 128 bytes"));
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&self.bytes);
        out.into()
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut text = || {
            let (len, rest) = bytes.split_first()?;
            let (text, rest) = rest.split_at_checked(usize::from(*len))?;
            bytes = rest;
            std::str::from_utf8(text).ok().map(str::to_owned)
        };
        let (provider, version) = (text()?, text()?);
        Self::new(&provider, &MasterVersion::new(version).ok()?, Bytes::copy_from_slice(bytes)).ok()
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("WrappedKey");
        out.field("provider", &self.provider).field("version", &self.version).field("len", &self.bytes.len()).finish()
    }
}

fn check(field: &str, text: &str) -> Result<(), ProviderError> {
    let given = match text.bytes().position(|byte| !byte.is_ascii_graphic()) {
        _ if text.is_empty() || text.len() > MAX_PROVIDER_LABEL => format!("{} bytes", text.len()),
        Some(at) => format!("another character at byte {at}"),
        None => return Ok(()),
    };
    Err(invalid(field, format_args!("1 to {MAX_PROVIDER_LABEL} visible ASCII characters"), given))
}

/// Which setting is wrong, what its limit is, and what was given: a length or a kind, never the value.
fn invalid(field: &str, limit: impl fmt::Display, given: impl fmt::Display) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Invalid, Error::invalid(field, limit, given).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_lengths_are_checked_and_named() {
        let error = MasterVersion::new("").unwrap_err().to_string();
        let limit = "master key version must be 1 to 128 visible ASCII characters";
        assert_eq!(error, format!("the key provider failed (invalid): {limit}, but 0 bytes was given"));
        assert!(
            MasterVersion::new("se cret").unwrap_err().to_string().ends_with("another character at byte 2 was given")
        );
        let version = MasterVersion::new("1").unwrap();
        assert!(WrappedKey::new("p", &version, vec![0; 641].into()).is_err());
        assert!(WrappedKey::new("p", &version, Bytes::new()).is_err());
        assert!(WrappedKey::new("", &version, vec![0; 1].into()).is_err());
    }

    #[test]
    fn wrapped_keys_are_read_as_they_were_written_and_damage_is_an_error() {
        let wrapped = WrappedKey::new("vault", &MasterVersion::new("v1").unwrap(), Bytes::from_static(b"abc")).unwrap();
        let bytes = wrapped.encode();
        assert_eq!(&bytes[..], b"\x05vault\x02v1abc");
        assert_eq!(WrappedKey::decode(&bytes), Some(wrapped));
        assert!((0..10).all(|len| WrappedKey::decode(&bytes[..len]).is_none()));
    }
}
