//! Over TLS, as Azure is spoken with: tokens are sent when they are asked for, and nothing to who is not trusted.

use std::{error::Error as _, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    time::OffsetDateTime,
};
use memstache_crypto::{
    AzureAuth, AzureKeyVault, AzureKeyVaultBuilder, KeyProvider, MasterVersion, ProviderErrorKind, WrappedKey,
    emulator::{Emulator, Operation},
};

use crate::kit::{every_call, key, kind};

pub(crate) const TOKEN: &str = "the-only-token-that-is-let-in";

/// Gives out a token for the emulator's resource alone.
#[derive(Debug)]
struct Token;

#[async_trait]
impl TokenCredential for Token {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://vault.localhost/.default"], "what the challenge says");
        Ok(AccessToken::new(TOKEN, OffsetDateTime::now_utc() + Duration::from_secs(3600)))
    }
}

pub(crate) async fn emulator() -> Emulator {
    Emulator::builder().address(([127, 0, 0, 1], 0).into()).tls().token(TOKEN).start().await.unwrap()
}

/// A vault that trusts nothing but what the system does.
fn bare(emulator: &Emulator, host: &str) -> AzureKeyVaultBuilder {
    let url = format!("https://{host}:{}", emulator.address().port());
    AzureKeyVault::builder().vault_url(url).auth(AzureAuth::credential(Arc::new(Token))).key_bits(2048).retries(0)
}

pub(crate) fn trusting(emulator: &Emulator, of: &Emulator) -> AzureKeyVaultBuilder {
    bare(emulator, "dev.vault.localhost").root_certificate(of.certificate_pem().unwrap())
}

fn both(vault: &AzureKeyVaultBuilder) -> [Box<dyn KeyProvider>; 2] {
    [Box::new(vault.keys("master").unwrap()), Box::new(vault.secrets("master").unwrap())]
}

#[tokio::test]
async fn both_providers_work_over_tls_and_send_a_token_when_they_are_asked() {
    let emulator = emulator().await;
    assert!(emulator.base_url().starts_with("https://"));
    for (at, provider) in both(&trusting(&emulator, &emulator)).into_iter().enumerate() {
        let challenged = emulator.calls().challenged();
        assert_eq!(challenged, at as u64, "each client is asked once");
        assert_eq!(kind(provider.current().await), ProviderErrorKind::NotFound);
        assert_eq!(emulator.calls().challenged(), challenged + 1);
        let first = provider.rotate().await.unwrap();
        assert_eq!(provider.current().await.unwrap(), first);
        let wrapped = provider.wrap(&first, &key(), b"for").await.unwrap();
        let second = provider.rotate().await.unwrap();
        assert_ne!(first.version(), second.version());
        assert_eq!(provider.current().await.unwrap(), second);
        assert_eq!(provider.unwrap(&wrapped, b"for").await.unwrap(), key(), "the old version unwraps");
    }
    let calls = emulator.calls();
    assert_eq!(
        (calls.of(Operation::CreateKey), calls.of(Operation::UnwrapKey), calls.of(Operation::SetSecret)),
        (1, 1, 2)
    );
    assert_eq!(calls.challenged(), 2);
}

#[tokio::test]
async fn who_shows_an_untrusted_certificate_is_sent_nothing() {
    let (emulator, other) = (emulator().await, emulator().await);
    // The address is the certificate's, so that trust alone is what is missing.
    for vault in [bare(&emulator, "127.0.0.1"), trusting(&emulator, &other)] {
        let version = MasterVersion::new("0".repeat(32)).unwrap();
        // As long as what the RSA key wraps, and as what a secret does.
        for (provider, len) in both(&vault).into_iter().zip([256, 60]) {
            let wrapped = WrappedKey::new(provider.id(), &version, vec![0; len].into()).unwrap();
            for result in every_call(&*provider, &version, &wrapped).await {
                let error = result.unwrap_err();
                let told = "the key provider failed (unavailable): the vault's certificate is not trusted";
                assert_eq!(error.to_string(), told);
                assert!(error.source().is_some(), "with what the SDK says");
            }
        }
    }
    let calls = emulator.calls();
    assert_eq!((calls.total(), calls.challenged()), (0, 0), "not even a request without a token");
}

#[tokio::test]
async fn several_certificates_are_trusted_and_what_is_none_is_named() {
    let (emulator, other) = (emulator().await, emulator().await);
    let bundle = format!("other\n{}this\n{}", other.certificate_pem().unwrap(), emulator.certificate_pem().unwrap());
    let vault = bare(&emulator, "dev.vault.localhost");
    for provider in both(&vault.clone().root_certificate(bundle)) {
        provider.rotate().await.unwrap();
    }
    let long = "x".repeat(512 * 1024 + 1);
    for (pem, told) in [
        ("", "a text without a certificate was given"),
        ("not PEM at all", "a text without a certificate was given"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a text without a certificate was given"),
        ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "a text that is no PEM was given"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "something else within PEM was given"),
        (long.as_str(), "a text of 524289 bytes was given"),
    ] {
        let vault = vault.clone().root_certificate(pem);
        for error in [vault.keys("k").unwrap_err(), vault.secrets("k").unwrap_err()] {
            assert_eq!(error.kind(), ProviderErrorKind::Invalid);
            let told = format!("root certificate must be X.509, in PEM, but {told}");
            assert!(error.to_string().ends_with(&told), "{error}");
        }
    }
    // The emulator's plain HTTP has no certificates.
    let plain = AzureKeyVault::builder().vault_url("http://localhost:5000").emulator();
    let error = plain.root_certificate(emulator.certificate_pem().unwrap()).keys("k").unwrap_err();
    assert!(error.to_string().contains("root certificate must be left out with the emulator's http://"), "{error}");
}
