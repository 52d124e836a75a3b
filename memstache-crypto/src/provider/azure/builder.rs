//! Which vault, and how it is called.

use std::{sync::Arc, time::Duration};

use azure_core::{
    credentials::TokenCredential,
    http::{ClientOptions, RetryOptions, Transport, Url, new_http_client},
};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use data_encoding::HEXLOWER;
use memstache_core::{Clock, SystemClock};
use ring::digest::{SHA256, digest};

use super::{
    auth::{AzureAuth, EmulatorToken},
    bounded::Bounded,
    keys::AzureKeys,
    secrets::AzureSecrets,
    transport::{Loopback, is_loopback},
    trust,
    vault::Calls,
};
use crate::{
    provider::{ProviderError, invalid},
    random::{Random, SystemRandom},
};

/// Longest name of a key or secret in a vault.
const MAX_NAME: usize = 127;

/// Azure Key Vault as the place of master keys.
///
/// [`keys`](AzureKeyVaultBuilder::keys) wraps with an RSA key that never leaves the vault; take it if you can.
/// [`secrets`](AzureKeyVaultBuilder::secrets) keeps a key as a secret, which every node then has in its memory for the
/// time of a call.
///
/// A call is given up after 10 seconds, repetitions included; the SDK by itself takes 81 to find that a vault is down. The
/// future of a call may be dropped; what it changed in the vault stays. Redirections are not followed, and of an answer at
/// most 1 MiB is read. A provider's id is a digest of the vault's address
/// and the key's name: a vault that moves to another address is another provider. Needs a tokio runtime.
///
/// ```
/// # #[cfg(not(feature = "emulator"))]
/// # fn main() {}
/// # #[cfg(feature = "emulator")]
/// use memstache_crypto::{AzureKeyVault, KeyProvider, Secret, emulator::Emulator};
///
/// # #[cfg(feature = "emulator")]
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // In production: `.vault_url("https://my-vault.vault.azure.net")`, and no `.emulator()`.
/// let emulator = Emulator::builder().address(([127, 0, 0, 1], 0).into()).start().await?;
/// let vault = AzureKeyVault::builder().vault_url(emulator.base_url()).emulator();
/// let master = vault.keys("master")?;
///
/// let version = master.rotate().await?; // the first version
/// let key = Secret::from_bytes([7; 32]);
/// let wrapped = master.wrap(&version, &key, b"what it is for").await?;
/// assert_eq!(master.unwrap(&wrapped, b"what it is for").await?, key);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct AzureKeyVault;

impl AzureKeyVault {
    /// Starts a builder: [`AzureAuth::auto`], 10 seconds, 2 repetitions.
    pub fn builder() -> AzureKeyVaultBuilder {
        AzureKeyVaultBuilder {
            vault_url: String::new(),
            auth: AzureAuth::auto(),
            emulator: false,
            root_certificate: None,
            timeout: Duration::from_secs(10),
            retries: 2,
            key_bits: 3072,
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
        }
    }
}

/// Configures access to one vault; makes a provider for each master key in it.
#[derive(Clone, Debug)]
pub struct AzureKeyVaultBuilder {
    vault_url: String,
    auth: AzureAuth,
    emulator: bool,
    root_certificate: Option<Arc<str>>,
    timeout: Duration,
    retries: u32,
    key_bits: u32,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// Everything that both clients need.
struct Access {
    endpoint: String,
    credential: Arc<dyn TokenCredential>,
    options: ClientOptions,
    verify: bool,
}

impl AzureKeyVaultBuilder {
    /// Longest time that a call may be given.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(20);
    /// Most repetitions of a call.
    pub const MAX_RETRIES: u32 = 5;

    /// Sets the vault's address, such as `https://my-vault.vault.azure.net`. Required.
    #[must_use]
    pub fn vault_url(mut self, url: impl Into<String>) -> Self {
        self.vault_url = url.into();
        self
    }

    /// Sets where tokens come from. Default: [`AzureAuth::auto`].
    #[must_use]
    pub fn auth(mut self, auth: AzureAuth) -> Self {
        self.auth = auth;
        self
    }

    /// Allows, and demands, an `http://` address of this machine: the [emulator](crate::emulator)'s. No token is asked for.
    #[must_use]
    pub fn emulator(mut self) -> Self {
        self.emulator = true;
        self
    }

    /// Trusts also what this root certificate vouches for, or several: X.509 in PEM, at most 512 KiB. Behind a proxy that
    /// looks into TLS, or for an [emulator](crate::emulator) that speaks it, whose name must then have three parts, such as
    /// `dev.vault.localhost`. Certificates are verified all the same, by the system's roots and these, and the sources of
    /// tokens are called in the same way, but for a credential of your own. Default: the system's alone.
    ///
    /// macOS and iOS refuse to trust more than the system does: add it there.
    #[must_use]
    pub fn root_certificate(mut self, pem: impl Into<String>) -> Self {
        self.root_certificate = Some(pem.into().into());
        self
    }

    /// Sets how long a call may take with all repetitions, at most 20 seconds. Default: 10 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how often a call is repeated if the vault is down or fails by itself, at most 5; after 200 ms, then twice as
    /// long each time. What changes the vault is never repeated. Default: 2.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sets the length of an RSA key that is made when there is none: 2048, 3072 or 4096 bits. Default: 3072.
    #[must_use]
    pub fn key_bits(mut self, bits: u32) -> Self {
        self.key_bits = bits;
        self
    }

    /// Sets where time comes from. Default: the system.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets where new secrets and nonces come from. Default: the system.
    #[must_use]
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// Makes a provider whose master key is the RSA key of this name. Nothing is asked of the vault yet.
    ///
    /// Error: [`Invalid`](crate::ProviderErrorKind::Invalid) for a setting or a name out of its limits, for `http://`
    /// without [`emulator`](Self::emulator), for anything but `http://` and this machine with it, and for a root certificate
    /// that is none;
    /// [`Forbidden`](crate::ProviderErrorKind::Forbidden) if the credential cannot be made.
    pub fn keys(&self, name: &str) -> Result<AzureKeys, ProviderError> {
        let (calls, access) = (self.calls(name)?, self.access()?);
        if ![2048, 3072, 4096].contains(&self.key_bits) {
            return Err(invalid("RSA key", "2048, 3072 or 4096 bits long", format_args!("{} bits", self.key_bits)));
        }
        let options = KeyClientOptions {
            client_options: access.options,
            verify_challenge_resource: Some(access.verify),
            ..KeyClientOptions::default()
        };
        let client = KeyClient::new(&access.endpoint, access.credential, Some(options));
        let client = client.map_err(super::failure::failure)?;
        Ok(AzureKeys::new(client, self.id("keys", name), name, self.key_bits, calls))
    }

    /// Makes a provider whose master key is 32 bytes in the secret of this name, in base64. Nothing is asked of the vault
    /// yet.
    ///
    /// Errors: those of [`keys`](Self::keys).
    pub fn secrets(&self, name: &str) -> Result<AzureSecrets, ProviderError> {
        let (calls, access) = (self.calls(name)?, self.access()?);
        let options = SecretClientOptions {
            client_options: access.options,
            verify_challenge_resource: Some(access.verify),
            ..SecretClientOptions::default()
        };
        let client = SecretClient::new(&access.endpoint, access.credential, Some(options));
        let client = client.map_err(super::failure::failure)?;
        Ok(AzureSecrets::new(client, self.id("secrets", name), name, Arc::clone(&self.random), calls))
    }

    fn calls(&self, name: &str) -> Result<Calls, ProviderError> {
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if name.is_empty() || name.len() > MAX_NAME || !letters {
            let limit = format_args!("1 to {MAX_NAME} of 0-9, a-z, A-Z and -");
            return Err(invalid("name in the vault", limit, format_args!("another of {} bytes", name.len())));
        }
        if self.timeout.is_zero() || self.timeout > Self::MAX_TIMEOUT {
            let limit = format_args!("more than 0 and at most {} s", Self::MAX_TIMEOUT.as_secs());
            return Err(invalid("timeout", limit, format_args!("{:?}", self.timeout)));
        }
        if self.retries > Self::MAX_RETRIES {
            return Err(invalid("retries", format_args!("at most {}", Self::MAX_RETRIES), self.retries));
        }
        Ok(Calls { timeout: self.timeout, retries: self.retries, clock: Arc::clone(&self.clock) })
    }

    fn access(&self) -> Result<Access, ProviderError> {
        let mut url = self.url()?;
        // Repetitions are ours: see `Calls`.
        let bounded = |client| Some(Transport::new(Arc::new(Bounded::new(client))));
        let options = ClientOptions { retry: RetryOptions::none(), ..ClientOptions::default() };
        if !self.emulator {
            let trusting = self.root_certificate.as_deref().map(|pem| trust::client(pem, &url)).transpose()?;
            let of_tokens = trusting.clone().map(Transport::new);
            let client = trusting.unwrap_or_else(|| new_http_client(None));
            let options = ClientOptions { transport: bounded(client), ..options };
            let credential = self.auth.clone().build(&self.clock, of_tokens, &|name| std::env::var(name).ok());
            let credential = credential.map_err(super::failure::failure)?;
            return Ok(Access { endpoint: url.into(), credential, options, verify: true });
        }
        if self.root_certificate.is_some() {
            return Err(invalid("root certificate", "left out with the emulator's http://", "one"));
        }
        // Clients check that the vault lies below the resource of its challenge; `localhost` lies below nothing.
        let verify = url.domain().is_some_and(|name| name.matches('.').count() >= 2);
        // The default port goes with the scheme: it must be kept when that changes.
        let port = url.port_or_known_default();
        let changed = url.set_scheme("https").and_then(|()| url.set_port(port));
        changed.map_err(|()| invalid("vault address", "one that can be HTTPS", "another"))?;
        let options = ClientOptions { transport: bounded(Arc::new(Loopback::new())), ..options };
        let credential = Arc::new(EmulatorToken(Arc::clone(&self.clock)));
        Ok(Access { endpoint: url.into(), credential, options, verify })
    }

    fn url(&self) -> Result<Url, ProviderError> {
        let wrong = |limit: &str, given: &str| invalid("vault address", limit, given);
        let url: Url =
            self.vault_url.parse().map_err(|_| wrong("such as https://my-vault.vault.azure.net", "something else"))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() || url.host_str().is_none() {
            return Err(wrong("scheme, host and port alone", "more, or less"));
        }
        match (self.emulator, url.scheme()) {
            (false, "https") => Ok(url),
            (false, _) => Err(wrong("https:// (http:// is for the emulator alone)", "another scheme")),
            (true, "http") if is_loopback(&url) => Ok(url),
            (true, "http") => Err(wrong("this machine's with the emulator", "another host")),
            (true, _) => Err(wrong("http:// with the emulator", "another scheme")),
        }
    }

    /// The vault and the name, without telling them.
    fn id(&self, plane: &str, name: &str) -> String {
        let address = self.vault_url.trim_end_matches('/').to_ascii_lowercase();
        let digest = digest(&SHA256, format!("{address}/{plane}/{}", name.to_ascii_lowercase()).as_bytes());
        format!("azure-{plane}:{}", HEXLOWER.encode(&digest.as_ref()[..16]))
    }
}
