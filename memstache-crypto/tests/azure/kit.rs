//! An emulator and a vault of it.

use memstache_crypto::{
    AzureKeyVault, AzureKeyVaultBuilder, KeyProvider, MasterVersion, ProviderError, ProviderErrorKind, Secret,
    WrappedKey,
    emulator::{Emulator, Faults},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) async fn emulator() -> Emulator {
    Emulator::builder().address(([127, 0, 0, 1], 0).into()).start().await.unwrap()
}

pub(crate) fn vault(emulator: &Emulator) -> AzureKeyVaultBuilder {
    AzureKeyVault::builder().vault_url(emulator.base_url()).emulator().key_bits(2048)
}

pub(crate) fn key() -> Secret {
    Secret::from_bytes([7; 32])
}

pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T, ProviderError>) -> ProviderErrorKind {
    result.unwrap_err().kind()
}

/// A call of every kind, all of which are expected to fail alike.
pub(crate) async fn every_call(
    provider: &dyn KeyProvider,
    version: &MasterVersion,
    wrapped: &WrappedKey,
) -> Vec<Result<(), ProviderError>> {
    vec![
        provider.current().await.map(drop),
        provider.wrap(version, &key(), b"aad").await.map(drop),
        provider.unwrap(wrapped, b"aad").await.map(drop),
        provider.rotate().await.map(drop),
    ]
}

/// Both providers with a first version and a wrapped key.
pub(crate) async fn providers(vault: &AzureKeyVaultBuilder) -> Vec<(Box<dyn KeyProvider>, MasterVersion, WrappedKey)> {
    let both: [Box<dyn KeyProvider>; 2] =
        [Box::new(vault.keys("master").unwrap()), Box::new(vault.secrets("master").unwrap())];
    let mut out = Vec::new();
    for provider in both {
        let version = provider.rotate().await.unwrap();
        let wrapped = provider.wrap(&version, &key(), b"aad").await.unwrap();
        out.push((provider, version, wrapped));
    }
    out
}

pub(crate) fn failing() -> Faults {
    Faults::default().with_fail_rate(1.0).unwrap()
}

/// Does to the vault what an operator would.
pub(crate) async fn send(emulator: &Emulator, method: &str, path: &str, body: &str) {
    let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
    let request = format!(
        "{method} {path}?api-version=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
