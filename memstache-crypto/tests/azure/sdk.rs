//! Microsoft's Rust SDK by itself, over TLS: what its Python SDK does in `tests/judge`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    Error, Result,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::{ClientOptions, RetryOptions, StatusCode, Transport},
    time::OffsetDateTime,
};
use azure_security_keyvault_keys::{
    KeyClient, KeyClientOptions, ResourceExt as _,
    models::{
        CreateKeyParameters, EncryptionAlgorithm, KeyClientWrapKeyOptions, KeyOperation, KeyOperationParameters,
        KeyType,
    },
};
use azure_security_keyvault_secrets::{
    ResourceExt as _, SecretClient, SecretClientOptions,
    models::{SecretClientGetSecretOptions, SetSecretParameters},
};
use futures_util::TryStreamExt as _;
use memstache_crypto::emulator::{Emulator, Operation};

#[derive(Debug)]
struct Token;

#[async_trait]
impl TokenCredential for Token {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> Result<AccessToken> {
        Ok(AccessToken::new("sdk", OffsetDateTime::now_utc() + Duration::from_secs(3600)))
    }
}

async fn emulator() -> Emulator {
    Emulator::builder().address(([127, 0, 0, 1], 0).into()).tls().start().await.unwrap()
}

/// Trusts the emulator's certificate, and no other.
fn options(emulator: &Emulator) -> ClientOptions {
    let certificate = reqwest::Certificate::from_pem(emulator.certificate_pem().unwrap().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().build().unwrap();
    let transport = Some(Transport::new(Arc::new(client)));
    ClientOptions { transport, retry: RetryOptions::none(), ..ClientOptions::default() }
}

#[track_caller]
fn status<T>(result: Result<T>) -> StatusCode {
    let error: Error = result.err().expect("it was to fail");
    error.http_status().expect("an answer")
}

#[tokio::test]
async fn secrets_are_set_read_listed_deleted_recovered_and_purged() {
    let emulator = emulator().await;
    // The emulator is not below the resource of its challenge.
    let options = SecretClientOptions {
        client_options: options(&emulator),
        verify_challenge_resource: Some(false),
        ..SecretClientOptions::default()
    };
    assert!(emulator.base_url().starts_with("https://"));
    let client = SecretClient::new(&emulator.base_url(), Arc::new(Token), Some(options)).unwrap();
    let set = async |name: &str, value: &str| {
        let parameters = SetSecretParameters { value: Some(value.to_owned()), ..SetSecretParameters::default() };
        client.set_secret(name, parameters.try_into()?, None).await?.into_model()
    };
    let first = set("sdk", "one").await.unwrap().resource_id().unwrap().version;
    set("sdk", "two").await.unwrap();
    let get = async |secret_version: Option<String>| {
        let options = SecretClientGetSecretOptions { secret_version, ..SecretClientGetSecretOptions::default() };
        client.get_secret("sdk", Some(options)).await?.into_model().map(|secret| secret.value)
    };
    assert_eq!(get(None).await.unwrap().as_deref(), Some("two"));
    assert_eq!(get(first).await.unwrap().as_deref(), Some("one"));
    assert_eq!(
        client.list_secret_properties_versions("sdk", None).unwrap().try_collect::<Vec<_>>().await.unwrap().len(),
        2
    );
    for at in 0..30 {
        set(&format!("page-{at:02}"), "v").await.unwrap();
    }
    let listed: Vec<_> = client.list_secret_properties(None).unwrap().try_collect().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|secret| secret.resource_id().unwrap().name).collect();
    let pages = (0..30).map(|at| format!("page-{at:02}"));
    assert_eq!(listed, pages.chain(["sdk".to_owned()]).collect::<Vec<_>>(), "over several pages");

    let deleted = client.delete_secret("sdk", None).await.unwrap().into_model().unwrap();
    assert!(deleted.scheduled_purge_date > deleted.deleted_date && deleted.deleted_date.is_some());
    assert_eq!(status(get(None).await), StatusCode::NotFound);
    assert_eq!(status(set("sdk", "three").await), StatusCode::Conflict, "its name is taken");
    let gone: Vec<_> = client.list_deleted_secret_properties(None).unwrap().try_collect().await.unwrap();
    assert_eq!(gone.len(), 1);
    client.recover_deleted_secret("sdk", None).await.unwrap();
    assert_eq!(get(None).await.unwrap().as_deref(), Some("two"));
    client.delete_secret("sdk", None).await.unwrap();
    client.purge_deleted_secret("sdk", None).await.unwrap();
    assert_eq!(status(client.get_deleted_secret("sdk", None).await), StatusCode::NotFound);
    assert!(emulator.calls().challenged() > 0, "a token only for who asks for it");
}

#[tokio::test]
async fn keys_are_made_wrap_unwrap_rotate_and_are_deleted_recovered_and_purged() {
    let emulator = emulator().await;
    let options = KeyClientOptions {
        client_options: options(&emulator),
        verify_challenge_resource: Some(false),
        ..KeyClientOptions::default()
    };
    let client = KeyClient::new(&emulator.base_url(), Arc::new(Token), Some(options)).unwrap();
    let parameters = CreateKeyParameters {
        kty: Some(KeyType::Rsa),
        key_size: Some(2048),
        key_ops: Some(vec![KeyOperation::WrapKey, KeyOperation::UnwrapKey]),
        ..CreateKeyParameters::default()
    };
    let key = client.create_key("sdk", parameters.try_into().unwrap(), None).await.unwrap().into_model().unwrap();
    let first = key.resource_id().unwrap().version.unwrap();
    let parameters = |value: &[u8]| KeyOperationParameters {
        algorithm: Some(EncryptionAlgorithm::RsaOaep256),
        value: Some(value.to_vec()),
        ..KeyOperationParameters::default()
    };
    let secret: Vec<u8> = (0..32).collect();
    let options = KeyClientWrapKeyOptions { key_version: Some(first.clone()), ..KeyClientWrapKeyOptions::default() };
    let wrapped = client.wrap_key("sdk", parameters(&secret).try_into().unwrap(), Some(options)).await.unwrap();
    let wrapped = wrapped.into_model().unwrap().result.unwrap();
    let unwrap = async |wrapped: &[u8]| {
        client.unwrap_key("sdk", &first, parameters(wrapped).try_into()?, None).await?.into_model()
    };
    assert_eq!(unwrap(&wrapped).await.unwrap().result.unwrap(), secret);
    let mut damaged = wrapped.clone();
    damaged[9] ^= 1;
    assert_eq!(status(unwrap(&damaged).await), StatusCode::BadRequest);

    let rotated = client.rotate_key("sdk", None).await.unwrap().into_model().unwrap();
    assert_ne!(rotated.resource_id().unwrap().version.unwrap(), first);
    assert_eq!(unwrap(&wrapped).await.unwrap().result.unwrap(), secret, "by the old version");
    assert_eq!(
        client.list_key_properties_versions("sdk", None).unwrap().try_collect::<Vec<_>>().await.unwrap().len(),
        2
    );
    let listed: Vec<_> = client.list_key_properties(None).unwrap().try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|key| key.resource_id().unwrap().name).collect::<Vec<_>>(), ["sdk"]);

    client.delete_key("sdk", None).await.unwrap();
    assert_eq!(status(client.get_key("sdk", None).await), StatusCode::NotFound);
    assert_eq!(client.list_deleted_key_properties(None).unwrap().try_collect::<Vec<_>>().await.unwrap().len(), 1);
    client.recover_deleted_key("sdk", None).await.unwrap();
    assert_eq!(unwrap(&wrapped).await.unwrap().result.unwrap(), secret);
    client.delete_key("sdk", None).await.unwrap();
    client.purge_deleted_key("sdk", None).await.unwrap();
    assert_eq!(status(client.get_deleted_key("sdk", None).await), StatusCode::NotFound);
    assert_eq!(emulator.calls().of(Operation::CreateKey), 1);
}
