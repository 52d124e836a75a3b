//! Addresses and limits.

use std::time::Duration;

use memstache_crypto::{AzureAuth, AzureKeyVault, KeyProvider as _, ProviderErrorKind};

use crate::kit::{emulator, vault};

#[test]
fn http_is_for_the_emulator_on_this_machine_alone() {
    for (url, emulator, told) in [
        ("http://localhost:5000", false, "vault address must be https:// (http:// is for the emulator alone)"),
        ("http://my.vault.azure.net", false, "vault address must be https://"),
        ("http://my.vault.azure.net", true, "vault address must be this machine's with the emulator"),
        ("http://10.0.0.1:5000", true, "vault address must be this machine's with the emulator"),
        ("http://localhost.example.org", true, "vault address must be this machine's with the emulator"),
        ("https://localhost:5000", true, "vault address must be http:// with the emulator"),
        ("ftp://localhost:5000", true, "vault address must be http:// with the emulator"),
        ("", false, "vault address must be such as https://my-vault.vault.azure.net"),
        ("my-vault", false, "vault address must be such as https://my-vault.vault.azure.net"),
        ("https://my.vault.azure.net/keys/k", false, "vault address must be scheme, host and port alone"),
        ("https://user:hidden@my.vault.azure.net", false, "vault address must be scheme, host and port alone"),
    ] {
        let builder = AzureKeyVault::builder().vault_url(url).auth(AzureAuth::developer_tools());
        let builder = if emulator { builder.emulator() } else { builder };
        for error in [builder.keys("k").unwrap_err(), builder.secrets("k").unwrap_err()] {
            assert_eq!(error.kind(), ProviderErrorKind::Invalid, "{url}");
            assert!(error.to_string().contains(told), "{url}: {error}");
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }
    let azure = AzureKeyVault::builder().vault_url("https://my.vault.azure.net").auth(AzureAuth::developer_tools());
    assert!(azure.keys("k").is_ok() && azure.secrets("k").is_ok());
}

#[test]
fn settings_out_of_their_limits_are_named() {
    let good = || AzureKeyVault::builder().vault_url("http://localhost:5000").emulator();
    for (builder, name, told) in [
        (good(), "", "name in the vault must be 1 to 127 of 0-9, a-z, A-Z and -, but another of 0 bytes was given"),
        (good(), "a/b", "name in the vault must be 1 to 127"),
        (good().timeout(Duration::ZERO), "k", "timeout must be more than 0 and at most 20 s, but 0ns was given"),
        (
            good().timeout(Duration::from_secs(21)),
            "k",
            "timeout must be more than 0 and at most 20 s, but 21s was given",
        ),
        (good().retries(6), "k", "retries must be at most 5, but 6 was given"),
        (good().key_bits(1024), "k", "RSA key must be 2048, 3072 or 4096 bits long, but 1024 bits was given"),
    ] {
        let error = builder.keys(name).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Invalid);
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test]
async fn every_name_of_this_machine_leads_to_the_emulator() {
    let emulator = emulator().await;
    let port = emulator.address().port();
    for host in ["localhost", "127.0.0.1", "vault.localhost", "dev.vault.localhost"] {
        let keys = vault(&emulator).vault_url(format!("http://{host}:{port}")).keys("master").unwrap();
        assert!(!keys.rotate().await.unwrap().version().is_empty(), "{host}");
    }
}
