//! Certificates and keys, and whom to trust.

use std::sync::Arc;

use memstache_core::{Error, ErrorKind, Result};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use super::{
    Current,
    pem::{Pem, Stamp},
};

/// Certificates and keys of a node, and whom it trusts.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    ca: Pem,
    certificate: Pem,
    key: Pem,
    pub(super) server_name: Option<String>,
    mutual: bool,
}

impl TlsConfig {
    /// Trusts whom `ca` (one certificate or more) has signed; shows `certificate` (with what is between it and the
    /// authority), whose private key is `key`. All are PEM.
    pub const fn new(ca: Pem, certificate: Pem, key: Pem) -> Self {
        Self { ca, certificate, key, server_name: None, mutual: true }
    }

    /// Expects this name in the certificates of all nodes. Default: each node's own name; its IP address, if that is its
    /// name.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Lets nodes connect that show no certificate: who they are is then proven by the cluster's secret alone. Default:
    /// both ends show one.
    #[must_use]
    pub fn without_client_certificates(mut self) -> Self {
        self.mutual = false;
        self
    }

    /// What there is to see of the files.
    pub(super) fn stamps(&self) -> [Option<Stamp>; 3] {
        [&self.ca, &self.certificate, &self.key].map(Pem::stamp)
    }

    pub(super) fn read(&self) -> Result<Current> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(self.roots()?);
        let chain = certificates("certificate", &self.certificate)?;
        let pem = self.key.read("key")?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable("key", &error))?;
        Ok(Current {
            client: Arc::new(client(&provider, &roots, chain.clone(), key.clone_key())?),
            server: Arc::new(self.server(&provider, &roots, chain, key)?),
        })
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca", &self.ca)? {
            roots.add(certificate).map_err(|error| unusable("ca", &error))?;
        }
        Ok(roots)
    }

    fn server(
        &self,
        provider: &Arc<CryptoProvider>,
        roots: &Arc<RootCertStore>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ServerConfig> {
        let config = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| unusable("tls", &error))?;
        let config = if self.mutual {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
            config.with_client_cert_verifier(verifier.build().map_err(|error| unusable("ca", &error))?)
        } else {
            config.with_no_client_auth()
        };
        config.with_single_cert(chain, key).map_err(|error| unusable("key", &error))
    }
}

fn client(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig> {
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unusable("tls", &error))?
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable("key", &error))
}

fn certificates(field: &'static str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>> {
    let pem = pem.read(field)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| unusable(field, &error))?;
    if found.is_empty() { Err(unusable(field, &"it has no certificate")) } else { Ok(found) }
}

fn unusable(field: &'static str, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("{field} must be PEM that can be used, but it cannot: {error}"))
}
