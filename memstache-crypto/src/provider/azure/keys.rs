//! Master keys that are RSA keys in the vault.

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use azure_security_keyvault_keys::{
    KeyClient, ResourceExt as _,
    models::{
        CreateKeyParameters, EncryptionAlgorithm, Key, KeyClientWrapKeyOptions, KeyOperation, KeyOperationParameters,
        KeyType,
    },
};
use zeroize::Zeroizing;

use super::vault::{Calls, checked};
use crate::{
    key::Secret,
    provider::{KeyProvider, MasterVersion, ProviderError, ProviderErrorKind, WrappedKey},
};

/// An RSA key in Azure Key Vault as the master key: RSA-OAEP-256, done by the vault.
///
/// It needs the permissions get, wrap key and unwrap key; for `rotate` also create and rotate. A key that is disabled is
/// [`Disabled`](ProviderErrorKind::Disabled): keys at hand are dropped. Built by
/// [`AzureKeyVaultBuilder::keys`](super::AzureKeyVaultBuilder::keys).
#[derive(Clone)]
pub struct AzureKeys(Arc<Inner>);

struct Inner {
    client: KeyClient,
    id: String,
    name: String,
    bits: u32,
    calls: Calls,
}

impl AzureKeys {
    pub(super) fn new(client: KeyClient, id: String, name: &str, bits: u32, calls: Calls) -> Self {
        Self(Arc::new(Inner { client, id, name: name.to_owned(), bits, calls }))
    }
}

impl fmt::Debug for AzureKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureKeys").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl Inner {
    async fn create(&self) -> Result<Key, ProviderError> {
        let parameters = CreateKeyParameters {
            kty: Some(KeyType::Rsa),
            key_size: i32::try_from(self.bits).ok(),
            key_ops: Some(vec![KeyOperation::WrapKey, KeyOperation::UnwrapKey]),
            ..CreateKeyParameters::default()
        };
        self.calls
            .once(async { self.client.create_key(&self.name, parameters.try_into()?, None).await?.into_model() })
            .await
    }
}

fn parameters(value: &[u8]) -> KeyOperationParameters {
    KeyOperationParameters {
        algorithm: Some(EncryptionAlgorithm::RsaOaep256),
        value: Some(value.to_vec()),
        ..KeyOperationParameters::default()
    }
}

fn version(key: &Key) -> Result<MasterVersion, ProviderError> {
    let version = key.resource_id().ok().and_then(|id| id.version);
    let version = version.ok_or_else(|| invalid("the vault's answer has no version"))?;
    let created = key.attributes.as_ref().and_then(|attributes| attributes.created).map(SystemTime::from);
    let version = MasterVersion::new(version)?;
    Ok(created.map_or_else(|| version.clone(), |time| version.clone().with_created_at(time)))
}

#[async_trait]
impl KeyProvider for AzureKeys {
    fn id(&self) -> &str {
        &self.0.id
    }

    async fn current(&self) -> Result<MasterVersion, ProviderError> {
        let Inner { client, name, calls, .. } = &*self.0;
        let key = calls.run(|| async { client.get_key(name, None).await?.into_model() }).await?;
        if key.attributes.as_ref().and_then(|attributes| attributes.enabled) == Some(false) {
            return Err(ProviderError::new(ProviderErrorKind::Disabled, "the master key is disabled"));
        }
        version(&key)
    }

    async fn wrap(&self, master: &MasterVersion, key: &Secret, _: &[u8]) -> Result<WrappedKey, ProviderError> {
        let Inner { client, name, calls, id, .. } = &*self.0;
        let version = checked(master.version())?;
        let result = calls
            .run(|| async {
                let key_version = Some(version.to_owned());
                let options = KeyClientWrapKeyOptions { key_version, ..KeyClientWrapKeyOptions::default() };
                client.wrap_key(name, parameters(key.expose()).try_into()?, Some(options)).await?.into_model()
            })
            .await?;
        let bytes = result.result.ok_or_else(|| invalid("the vault's answer has no wrapped key"))?;
        WrappedKey::new(id, master, bytes.into())
    }

    async fn unwrap(&self, wrapped: &WrappedKey, _: &[u8]) -> Result<Secret, ProviderError> {
        let Inner { client, name, calls, .. } = &*self.0;
        let version = checked(wrapped.version())?;
        let result = calls
            .run(|| async {
                let parameters = parameters(wrapped.bytes()).try_into()?;
                client.unwrap_key(name, version, parameters, None).await?.into_model()
            })
            .await?;
        let bytes = Zeroizing::new(result.result.ok_or_else(|| invalid("the vault's answer has no key"))?);
        let bytes = bytes.as_slice().try_into().map_err(|_| invalid("the unwrapped key has not 32 bytes"))?;
        Ok(Secret::from_bytes(bytes))
    }

    async fn rotate(&self) -> Result<MasterVersion, ProviderError> {
        let Inner { client, name, calls, .. } = &*self.0;
        let rotated = calls.once(async { client.rotate_key(name, None).await?.into_model() }).await;
        match rotated {
            Ok(key) => version(&key),
            Err(error) if error.kind() == ProviderErrorKind::NotFound => version(&self.0.create().await?),
            Err(error) => Err(error),
        }
    }
}

fn invalid(detail: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Invalid, detail)
}
