//! An authority for one run, and the certificates of the nodes.

use std::{fs, path::Path};

use anyhow::Result;
use memstache_cluster::net::{Pem, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const AUTHORITY: &str = "ca.pem";

/// Signs certificates; its key is in memory only.
pub(super) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Makes an authority, and puts its certificate into a folder.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate()?;
        fs::write(folder.join(AUTHORITY), params.self_signed(&key)?.pem())?;
        Ok(Self(Issuer::new(params, key)))
    }

    /// Puts a certificate for a node, and its key, beside that of the authority.
    pub(super) fn sign(&self, folder: &Path, name: &str) -> Result<()> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &self.0)?;
        fs::write(folder.join(certificate_of(name)), certificate.pem())?;
        Ok(fs::write(folder.join(key_of(name)), key.serialize_pem())?)
    }
}

/// Returns what a node shows and whom it trusts: nodes know each other by their names.
pub(super) fn tls(folder: &Path, name: &str) -> TlsConfig {
    let pem = |file: String| Pem::file(folder.join(file));
    TlsConfig::new(pem(AUTHORITY.to_owned()), pem(certificate_of(name)), pem(key_of(name)))
}

fn certificate_of(name: &str) -> String {
    format!("{name}.pem")
}

fn key_of(name: &str) -> String {
    format!("{name}.key")
}

#[cfg(test)]
mod tests {
    use memstache_cluster::net::{Tcp, Tls};

    use super::*;
    use crate::temporary::Temporary;

    #[test]
    fn what_is_signed_can_be_used_and_nothing_else() {
        let folder = Temporary::new().unwrap();
        let authority = Authority::new(folder.path()).unwrap();
        authority.sign(folder.path(), "node-1").unwrap();
        Tls::over(Tcp::new(), tls(folder.path(), "node-1")).unwrap();
        assert!(Tls::over(Tcp::new(), tls(folder.path(), "node-2")).is_err());
    }
}
