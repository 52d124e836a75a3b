//! TLS with a certificate of its own.

use std::sync::Arc;

use memstache_core::{BoxError, Error, ErrorKind, Result};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// The names that the certificate is for.
const NAMES: [&str; 5] = ["localhost", "127.0.0.1", "::1", "vault.localhost", "*.vault.localhost"];

/// A new key and certificate: what accepts connections, and the certificate as PEM.
pub(super) fn self_signed() -> Result<(TlsAcceptor, String)> {
    let failed =
        |error: BoxError| Error::new(ErrorKind::Unavailable, "no certificate could be made").with_source(error);
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(NAMES.map(str::to_owned)).map_err(|error| failed(error.into()))?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key.into()))
        .map_err(|error| failed(error.into()))?;
    Ok((TlsAcceptor::from(Arc::new(config)), cert.pem()))
}
