//! Master keys that are secrets in the vault.

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use azure_security_keyvault_secrets::{
    ResourceExt as _, SecretClient,
    models::{Secret as Bundle, SecretClientGetSecretOptions, SetSecretParameters},
};
use data_encoding::BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::vault::{Calls, checked};
use crate::{
    key::Secret,
    provider::{KeyProvider, MasterVersion, ProviderError, ProviderErrorKind, WrappedKey},
    random::Random,
};

const TAG: usize = 16;

/// A secret in Azure Key Vault as the master key: 32 bytes in base64, with which AES-256-GCM wraps on this machine.
///
/// It needs the permission get; for `rotate` also set. The value is fetched for each call and not kept. A secret that is
/// disabled is [`Disabled`](ProviderErrorKind::Disabled): keys at hand are dropped. Built by
/// [`AzureKeyVaultBuilder::secrets`](super::AzureKeyVaultBuilder::secrets).
#[derive(Clone)]
pub struct AzureSecrets(Arc<Inner>);

struct Inner {
    client: SecretClient,
    id: String,
    name: String,
    random: Arc<dyn Random>,
    calls: Calls,
}

impl AzureSecrets {
    pub(super) fn new(client: SecretClient, id: String, name: &str, random: Arc<dyn Random>, calls: Calls) -> Self {
        Self(Arc::new(Inner { client, id, name: name.to_owned(), random, calls }))
    }
}

impl fmt::Debug for AzureSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureSecrets").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl Inner {
    async fn get(&self, version: Option<&str>) -> Result<Bundle, ProviderError> {
        let call = || async {
            let secret_version = version.map(str::to_owned);
            let options = SecretClientGetSecretOptions { secret_version, ..SecretClientGetSecretOptions::default() };
            self.client.get_secret(&self.name, Some(options)).await?.into_model()
        };
        self.calls.run(call).await
    }

    /// The key that a version holds, ready for use.
    async fn cipher(&self, version: &str) -> Result<LessSafeKey, ProviderError> {
        let bundle = self.get(Some(checked(version)?)).await?;
        let text = Zeroizing::new(bundle.value.unwrap_or_default());
        let wrong = |_| invalid("the secret is not 32 bytes in base64");
        let bytes = Zeroizing::new(BASE64.decode(text.trim().as_bytes()).map_err(wrong)?);
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| invalid("the secret is not 32 bytes in base64"))?;
        Ok(LessSafeKey::new(key))
    }

    fn fill(&self, out: &mut [u8]) -> Result<(), ProviderError> {
        self.random.fill(out).map_err(|error| {
            ProviderError::new(ProviderErrorKind::Unavailable, "there is no randomness").with_source(error)
        })
    }
}

fn version(bundle: &Bundle) -> Result<MasterVersion, ProviderError> {
    let version = bundle.resource_id().ok().and_then(|id| id.version);
    let version = version.ok_or_else(|| invalid("the vault's answer has no version"))?;
    let created = bundle.attributes.as_ref().and_then(|attributes| attributes.created).map(SystemTime::from);
    let version = MasterVersion::new(version)?;
    Ok(created.map_or_else(|| version.clone(), |time| version.clone().with_created_at(time)))
}

#[async_trait]
impl KeyProvider for AzureSecrets {
    fn id(&self) -> &str {
        &self.0.id
    }

    async fn current(&self) -> Result<MasterVersion, ProviderError> {
        version(&self.0.get(None).await?)
    }

    async fn wrap(&self, master: &MasterVersion, key: &Secret, aad: &[u8]) -> Result<WrappedKey, ProviderError> {
        let cipher = self.0.cipher(master.version()).await?;
        let mut nonce = [0; NONCE_LEN];
        self.0.fill(&mut nonce)?;
        let mut text = Zeroizing::new(*key.expose());
        let tag = cipher
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut *text)
            .map_err(|_| invalid("the key could not be wrapped"))?;
        WrappedKey::new(&self.0.id, master, [&nonce[..], &text[..], tag.as_ref()].concat().into())
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Secret, ProviderError> {
        let bad = || invalid("the wrapped key does not open");
        let (nonce, sealed) = wrapped.bytes().split_first_chunk::<NONCE_LEN>().ok_or_else(bad)?;
        let sealed: [u8; Secret::LEN + TAG] = sealed.try_into().map_err(|_| bad())?;
        let cipher = self.0.cipher(wrapped.version()).await?;
        let mut text = Zeroizing::new(sealed);
        let opened = cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut *text);
        Ok(Secret::from_bytes(*opened.map_err(|_| bad())?.first_chunk().ok_or_else(bad)?))
    }

    async fn rotate(&self) -> Result<MasterVersion, ProviderError> {
        let mut bytes = Zeroizing::new([0; Secret::LEN]);
        self.0.fill(&mut *bytes)?;
        let parameters = SetSecretParameters { value: Some(BASE64.encode(&*bytes)), ..SetSecretParameters::default() };
        let set = async { self.0.client.set_secret(&self.0.name, parameters.try_into()?, None).await?.into_model() };
        version(&self.0.calls.once(set).await?)
    }
}

fn invalid(detail: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Invalid, detail)
}
