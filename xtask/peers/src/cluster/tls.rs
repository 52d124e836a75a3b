//! Certificates of one run.

use anyhow::Result;
use memstache_cluster::net::{Pem, Tcp, Tls, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// The name in the certificate of all nodes.
pub(super) const NAME: &str = "cache.internal";

/// An authority, and what it signed, as PEM.
#[derive(Clone)]
pub(super) struct Certificates {
    pub(super) authority: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Certificates {
    pub(super) fn new() -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate()?;
        let authority = params.self_signed(&ca_key)?.pem();
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new([NAME.to_owned()])?.signed_by(&key, &Issuer::from_params(&params, ca_key))?;
        Ok(Self { authority, certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// TLS on both sides, as memstache's nodes speak it.
    pub(super) fn tls(&self) -> Result<Tls> {
        let [authority, certificate, key] =
            [&self.authority, &self.certificate, &self.key].map(|pem| Pem::bytes(pem.clone()));
        Ok(Tls::over(Tcp::new(), TlsConfig::new(authority, certificate, key).with_server_name(NAME))?)
    }
}
