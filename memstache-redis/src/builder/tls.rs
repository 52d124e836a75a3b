//! Certificates.

#[cfg(feature = "tls")]
use memstache_core::Result;
use memstache_core::{Error, ErrorKind};

/// Whom to trust, and who we are; PEM.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    pub(crate) fn is_given(&self) -> bool {
        self.ca.is_some() || self.identity.is_some()
    }

    /// Makes the connector of the driver.
    #[cfg(feature = "tls")]
    pub(crate) fn connector(&self) -> Result<fred::types::config::TlsConfig> {
        use std::sync::Arc;

        use rustls::{
            ClientConfig, RootCertStore,
            pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        };

        let wrong = |field: &'static str| {
            move |error: &dyn std::fmt::Display| {
                Error::new(ErrorKind::Invalid, format!("{field} must be PEM that can be used, but it cannot: {error}"))
            }
        };
        let certificates = |field, pem: &[u8]| {
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            let found = found.map_err(|error| wrong(field)(&error))?;
            if found.is_empty() { Err(wrong(field)(&"it has no certificate")) } else { Ok(found) }
        };
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(pem) => {
                for certificate in certificates("ca", pem)? {
                    roots.add(certificate).map_err(|error| wrong("ca")(&error))?;
                }
            }
            None => {
                let native = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(native.certs);
                if roots.is_empty() {
                    let detail = "this machine has no certificates of authorities; give one with ca";
                    return Err(Error::new(ErrorKind::Invalid, detail));
                }
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("tls")(&error))?
            .with_root_certificates(roots);
        let config = match &self.identity {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong("identity")(&error))?;
                let chain = certificates("identity", chain)?;
                config.with_client_auth_cert(chain, key).map_err(|error| wrong("identity")(&error))?
            }
            None => config.with_no_client_auth(),
        };
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        Ok(fred::types::config::TlsConfig {
            connector: fred::types::config::TlsConnector::Rustls(connector),
            // Nodes of a Cluster tell addresses, and certificates say names: of the endpoint, if the node has none.
            hostnames: fred::types::config::TlsHostMapping::None,
        })
    }
}

/// The error of a build that cannot speak TLS.
#[cfg(not(feature = "tls"))]
pub(crate) fn missing() -> Error {
    Error::new(ErrorKind::Unsupported, "TLS needs the feature `tls` of memstache-redis")
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_by_name() {
        let message = |tls: Tls| tls.connector().unwrap_err().to_string();
        let ca = Tls { ca: Some(b"nonsense".to_vec()), identity: None };
        assert_eq!(message(ca), "ca must be PEM that can be used, but it cannot: it has no certificate");
        let identity = Tls { ca: Some(CA.to_vec()), identity: Some((CA.to_vec(), b"nonsense".to_vec())) };
        assert!(message(identity).starts_with("identity must be PEM"));
        assert!(Tls { ca: Some(CA.to_vec()), identity: None }.connector().is_ok());
    }

    const CA: &[u8] = include_bytes!("../../tests/redis/ca.pem");
}
