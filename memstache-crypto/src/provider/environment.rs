//! Master keys in environment variables.

use std::{env, ffi::OsString};

use async_trait::async_trait;
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::{
    KeyProvider, MasterVersion, ProviderError, ProviderErrorKind, WrappedKey, invalid,
    local::{LocalKey, LocalKeys, MAX_VERSIONS},
};
use crate::key::Secret;

/// Longest text of a variable: 64 versions.
const MAX_TEXT: usize = 64 * 1024;

/// Master keys in an environment variable: versions with numbers, `2:BASE64,1:BASE64`, each 32 bytes in base64.
///
/// The highest number wraps, all unwrap. An operator makes a new version by adding it in front and restarting the nodes one
/// by one; an old one may go once [`KeyManagement::rotate_master_key`](crate::KeyManagement) has run. A child process
/// inherits the variable, and an operating system shows it to the same user: a file is better.
///
/// ```
/// use memstache_crypto::{EnvironmentProvider, KeyProvider};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), memstache_crypto::ProviderError> {
/// let provider = EnvironmentProvider::from_text("1:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")?;
/// assert_eq!(provider.current().await?.version(), "1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EnvironmentProvider(LocalKeys);

impl EnvironmentProvider {
    /// Reads a variable of the process, once.
    ///
    /// Errors: [`NotFound`](ProviderErrorKind::NotFound) when it is not set, [`Invalid`](ProviderErrorKind::Invalid) for a
    /// text that is not as described.
    pub fn from_variable(name: &str) -> Result<Self, ProviderError> {
        // Asked for as the system has it: an error with the text of the variable would show it.
        let text = env::var_os(name).map(OsString::into_encoded_bytes).map(Zeroizing::new);
        let Some(text) = text else {
            return Err(ProviderError::new(ProviderErrorKind::NotFound, "the environment variable is not set"));
        };
        let text = std::str::from_utf8(&text);
        Self::from_text(text.map_err(|_| invalid("environment variable", "base64 text", "another character"))?)
    }

    /// Reads the text of such a variable, from wherever it comes.
    ///
    /// Error: [`Invalid`](ProviderErrorKind::Invalid).
    pub fn from_text(text: &str) -> Result<Self, ProviderError> {
        if text.len() > MAX_TEXT {
            let limit = format_args!("at most {MAX_TEXT} bytes long");
            return Err(invalid("environment variable", limit, format_args!("{} bytes", text.len())));
        }
        let keys = text.trim().split(',').take(MAX_VERSIONS + 1).map(|version| key(version.trim()));
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        Ok(Self(LocalKeys::new(keys)?))
    }
}

/// Reads `number:base64`.
fn key(text: &str) -> Result<LocalKey, ProviderError> {
    let wrong = |given: &str| invalid("master key", "NUMBER:BASE64 of 32 bytes", given);
    let (number, encoded) = text.split_once(':').ok_or_else(|| wrong("a version without a colon"))?;
    let number = number.parse().map_err(|_| wrong("something else than a number"))?;
    Ok(LocalKey {
        number,
        secret: secret(encoded).ok_or_else(|| wrong("something else behind the colon"))?,
        created_at: None,
    })
}

/// Reads 32 bytes in base64, with padding.
pub(super) fn secret(encoded: &str) -> Option<Secret> {
    let bytes = Zeroizing::new(BASE64.decode(encoded.as_bytes()).ok()?);
    Some(Secret::from_bytes(bytes.as_slice().try_into().ok()?))
}

#[async_trait]
impl KeyProvider for EnvironmentProvider {
    fn id(&self) -> &str {
        "environment"
    }

    async fn current(&self) -> Result<MasterVersion, ProviderError> {
        self.0.current()
    }

    async fn wrap(&self, master: &MasterVersion, key: &Secret, aad: &[u8]) -> Result<WrappedKey, ProviderError> {
        self.0.wrap(self.id(), master, key, aad)
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Secret, ProviderError> {
        self.0.unwrap(wrapped, aad)
    }

    async fn rotate(&self) -> Result<MasterVersion, ProviderError> {
        let detail = "add a version to the environment variable and restart the nodes";
        Err(ProviderError::new(ProviderErrorKind::Unsupported, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const TWO: &str = "2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    #[tokio::test]
    async fn the_highest_number_wraps_and_all_unwrap() {
        let old = EnvironmentProvider::from_text(ONE).unwrap();
        let key = Secret::from_bytes([9; 32]);
        let wrapped = old.wrap(&old.current().await.unwrap(), &key, b"a").await.unwrap();
        let both = EnvironmentProvider::from_text(&format!("{TWO},{ONE}")).unwrap();
        assert_eq!(both.current().await.unwrap().version(), "2");
        assert_eq!(both.unwrap(&wrapped, b"a").await.unwrap(), key);
        assert_eq!(both.unwrap(&wrapped, b"b").await.unwrap_err().kind(), ProviderErrorKind::Invalid);
        let new = EnvironmentProvider::from_text(TWO).unwrap();
        assert_eq!(new.unwrap(&wrapped, b"a").await.unwrap_err().kind(), ProviderErrorKind::NotFound);
        assert_eq!(new.rotate().await.unwrap_err().kind(), ProviderErrorKind::Unsupported);
    }

    #[test]
    fn what_is_wrong_is_named_and_never_shown() {
        let twice = format!("{ONE},{ONE}");
        let same = format!("{ONE},3{}", &ONE[1..]);
        for text in ["", "canary", "1", "x:canary", "1:canary", "1:AQEB", &twice, &same, &"x".repeat(70_000)] {
            let error = EnvironmentProvider::from_text(text).unwrap_err();
            assert_eq!(error.kind(), ProviderErrorKind::Invalid, "{error}");
            assert!(!format!("{error:?}").contains("canary") && !format!("{error:?}").contains("AQEB"));
        }
        let many: Vec<_> = (1..=65).map(|number| format!("{number}{}", &ONE[1..])).collect();
        let error = EnvironmentProvider::from_text(&many.join(",")).unwrap_err().to_string();
        assert!(error.contains("master key versions must be at most 64, but 65 was given"), "{error}");
        let error = EnvironmentProvider::from_variable("MEMSTACHE_NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::NotFound);
        assert!(!format!("{:?}", EnvironmentProvider::from_text(ONE).unwrap()).contains("AQEB"));
    }
}
