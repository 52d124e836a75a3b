//! Root certificates that are trusted beside the system's.

use std::{net::SocketAddr, sync::Arc};

use azure_core::http::{HttpClient, Url};
use reqwest::{Certificate, Client, redirect::Policy};

use super::transport::is_loopback;
use crate::provider::{AzureKeyVaultBuilder, ProviderError, invalid};

/// Longest text: some hundred certificates, as many as a system has.
const MAX_PEM: usize = 512 * 1024;

/// Makes a client that also trusts these certificates. Apart from that it is as the SDK's own.
///
/// A name below `localhost` is this machine (RFC 6761, section 6.3), also where the resolver does not know that: vaults are
/// told from one another by names, and a certificate is for a name.
pub(super) fn client(pem: &str, vault: &Url) -> Result<Arc<dyn HttpClient>, ProviderError> {
    let certificates = certificates(pem)?;
    let mut builder = Client::builder()
        .tls_certs_merge(certificates)
        .redirect(Policy::none())
        .connect_timeout(AzureKeyVaultBuilder::MAX_TIMEOUT);
    if let Some(name) = vault.domain().filter(|_| is_loopback(vault)) {
        builder = builder.no_proxy().resolve(name, SocketAddr::from(([127, 0, 0, 1], 0)));
    }
    let wrong = || invalid("root certificate", "X.509, in PEM", "something else within PEM");
    let client = builder.build().map_err(|error| wrong().with_source(error))?;
    Ok(Arc::new(client))
}

fn certificates(pem: &str) -> Result<Vec<Certificate>, ProviderError> {
    let wrong = |given: &str| invalid("root certificate", "X.509, in PEM", given);
    if pem.len() > MAX_PEM {
        return Err(wrong(&format!("a text of {} bytes", pem.len())));
    }
    let found = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| wrong("a text that is no PEM"))?;
    if found.is_empty() {
        return Err(wrong("a text without a certificate"));
    }
    Ok(found)
}
