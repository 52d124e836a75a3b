//! A master key that a program holds.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;

use super::{
    KeyProvider, MasterVersion, ProviderError, ProviderErrorKind, WrappedKey, invalid,
    local::{LocalKey, LocalKeys},
};
use crate::{
    key::Secret,
    random::{Random, SystemRandom},
};

/// Master keys given by hand: for tests and examples. `rotate` makes a version that is gone with the process.
///
/// Clones share their versions.
///
/// ```
/// use memstache_crypto::{KeyProvider, Secret, StaticProvider};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), memstache_crypto::ProviderError> {
/// let provider = StaticProvider::dangerous_from_secrets([Secret::from_bytes([7; 32])])?;
/// assert_eq!(provider.current().await?.version(), "1");
/// assert_eq!(provider.rotate().await?.version(), "2");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StaticProvider(Arc<RwLock<LocalKeys>>);

impl StaticProvider {
    /// Takes all versions of a master key, the oldest first: they get the numbers from 1 on.
    ///
    /// A secret that is a constant in a program is none.
    ///
    /// Error: [`Invalid`](ProviderErrorKind::Invalid) for none, for more than 64, and for the same one twice.
    pub fn dangerous_from_secrets(secrets: impl IntoIterator<Item = Secret>) -> Result<Self, ProviderError> {
        let number = |(number, secret)| LocalKey { number, secret, created_at: None };
        let keys: Vec<_> = (1..).zip(secrets).map(number).take(super::local::MAX_VERSIONS + 1).collect();
        if keys.is_empty() {
            return Err(invalid("secrets", "at least one", "none"));
        }
        Ok(Self(Arc::new(RwLock::new(LocalKeys::new(keys)?))))
    }
}

#[async_trait]
impl KeyProvider for StaticProvider {
    fn id(&self) -> &str {
        "static"
    }

    async fn current(&self) -> Result<MasterVersion, ProviderError> {
        self.0.read().current()
    }

    async fn wrap(&self, master: &MasterVersion, key: &Secret, aad: &[u8]) -> Result<WrappedKey, ProviderError> {
        self.0.read().wrap(self.id(), master, key, aad)
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Secret, ProviderError> {
        self.0.read().unwrap(wrapped, aad)
    }

    async fn rotate(&self) -> Result<MasterVersion, ProviderError> {
        let failed = |_| ProviderError::new(ProviderErrorKind::Unavailable, "there is no randomness");
        let random: &dyn Random = &SystemRandom::new();
        let secret = Secret::random(random).map_err(failed)?;
        let mut keys = self.0.write();
        let number = keys.all().last().map_or(1, |key| key.number + 1);
        let mut all = keys.all().to_vec();
        all.push(LocalKey { number, secret, created_at: None });
        *keys = LocalKeys::new(all)?;
        keys.current()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(seed: u8) -> Secret {
        Secret::from_bytes([seed; 32])
    }

    #[tokio::test]
    async fn the_last_wraps_all_unwrap_and_clones_share() {
        let provider = StaticProvider::dangerous_from_secrets([secret(1), secret(2)]).unwrap();
        let clone = provider.clone();
        let master = provider.current().await.unwrap();
        assert_eq!(master.version(), "2");
        let wrapped = provider.wrap(&master, &secret(9), b"a").await.unwrap();
        assert_eq!(clone.rotate().await.unwrap().version(), "3");
        assert_eq!(provider.current().await.unwrap().version(), "3");
        assert_eq!(provider.unwrap(&wrapped, b"a").await.unwrap(), secret(9));
        let gone = MasterVersion::new("7").unwrap();
        let error = provider.wrap(&gone, &secret(9), b"a").await.unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::NotFound);
    }

    #[test]
    fn none_too_many_and_the_same_twice_are_refused() {
        let message = |secrets: Vec<Secret>| StaticProvider::dangerous_from_secrets(secrets).unwrap_err().to_string();
        assert!(message(Vec::new()).ends_with("secrets must be at least one, but none was given"));
        assert!(message(vec![secret(1), secret(1)]).ends_with("must be different keys, but a key twice was given"));
        let many = (0..65).map(secret).collect();
        assert!(message(many).ends_with("master key versions must be at most 64, but 65 was given"));
    }
}
