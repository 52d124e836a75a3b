//! A certificate authority of our own, and what it signed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

/// Where servers are reached.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// The files, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) server: PathBuf,
    pub(crate) server_key: PathBuf,
    pub(crate) client: PathBuf,
    pub(crate) client_key: PathBuf,
}

impl Certificates {
    /// Those of the folder, made if one is missing.
    pub(super) fn at(folder: &Path) -> Result<Self> {
        let file = |name: &str| folder.join(name);
        let files = Self {
            authority: file("ca.pem"),
            server: file("server.pem"),
            server_key: file("server.key"),
            client: file("client.pem"),
            client_key: file("client.key"),
        };
        if !files.all().iter().all(|file| file.is_file()) {
            fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            files.make()?;
        }
        Ok(files)
    }

    fn all(&self) -> [&Path; 5] {
        [&self.authority, &self.server, &self.server_key, &self.client, &self.client_key]
    }

    fn make(&self) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = named("memstache test authority", &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        write(&self.authority, &params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        // Members of a cluster are each other's clients.
        let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        sign(named("memstache test server", &NAMES)?, &both, &issuer, (&self.server, &self.server_key))?;
        let client = [ExtendedKeyUsagePurpose::ClientAuth];
        sign(named("memstache test client", &[])?, &client, &issuer, (&self.client, &self.client_key))
    }
}

fn named(name: &str, reached: &[&str]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(reached.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn sign(
    mut params: CertificateParams,
    uses: &[ExtendedKeyUsagePurpose],
    issuer: &Issuer<'_, KeyPair>,
    (certificate, key_file): (&Path, &Path),
) -> Result<()> {
    let key = KeyPair::generate()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = uses.to_vec();
    params.use_authority_key_identifier_extension = true;
    write(certificate, &params.signed_by(&key, issuer)?.pem())?;
    write(key_file, &key.serialize_pem())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::folders::Temporary;

    #[test]
    fn certificates_are_made_once() {
        let folder = Temporary::new("certificates");
        let made = Certificates::at(folder.path()).unwrap();
        let text = |file: &Path| fs::read_to_string(file).unwrap();
        let first = made.all().map(text);
        assert!(first[0].starts_with("-----BEGIN CERTIFICATE-----") && first[2].contains("PRIVATE KEY"));
        assert_eq!(Certificates::at(folder.path()).unwrap().all().map(text), first, "kept");
        fs::remove_file(&made.client).unwrap();
        assert_ne!(Certificates::at(folder.path()).unwrap().all().map(text), first, "made anew as a whole");
    }
}
