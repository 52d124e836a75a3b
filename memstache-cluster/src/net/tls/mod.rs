//! TLS 1.3 over any transport.

mod config;
mod pem;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use memstache_core::{BoxFuture, Result};
use parking_lot::Mutex;
use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use self::{config::TlsConfig, pem::Pem, watch::Watching};
use super::{Accepted, BoxStream, Listener, Transport};

/// TLS 1.3 over another transport; both ends show certificates. Clones are the same transport.
///
/// A node is known by its name, or by one name that all nodes share ([`TlsConfig::with_server_name`]). Sessions are resumed.
/// Certificates are exchanged while all runs, by [`reload`](Self::reload) or [`watch`](Self::watch): connections made from
/// then on have the new ones, those that are open go on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use memstache_cluster::net::{Pem, Tcp, Tls, TlsConfig, Transport};
/// use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let mut authority = CertificateParams::new([])?;
/// authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
/// let ca_key = KeyPair::generate()?;
/// let ca = authority.self_signed(&ca_key)?;
/// let key = KeyPair::generate()?;
/// let certificate = CertificateParams::new(["cache.internal".to_owned()])?
///     .signed_by(&key, &Issuer::from_params(&authority, ca_key))?;
///
/// let config = TlsConfig::new(Pem::bytes(ca.pem()), Pem::bytes(certificate.pem()), Pem::bytes(key.serialize_pem()))
///     .with_server_name("cache.internal");
/// let tls = Tls::over(Tcp::new(), config)?;
///
/// let mut listener = tls.bind(([127, 0, 0, 1], 0).into()).await?;
/// let address = listener.local_addr()?;
/// let far = async { listener.accept().await?.ready.await };
/// let (near, far) = tokio::join!(tls.connect(address, "cache-0"), far);
/// let (mut near, mut far) = (near?, far?);
/// near.write_all(b"tea").await?;
/// near.flush().await?;
/// let mut text = [0; 3];
/// far.read_exact(&mut text).await?;
/// assert_eq!(&text, b"tea");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    below: Arc<dyn Transport>,
    config: TlsConfig,
    current: Mutex<Current>,
}

/// What new connections are made with.
#[derive(Clone)]
struct Current {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Reads certificates and keys, and speaks TLS over `below` with them.
    ///
    /// Errors: `Invalid` for what is no certificate, no key, or does not fit together, by field; `Io` for files that cannot
    /// be read.
    pub fn over(below: impl Transport, config: TlsConfig) -> Result<Self> {
        let current = Mutex::new(config.read()?);
        Ok(Self(Arc::new(Inner { below: Arc::new(below), config, current })))
    }

    /// Reads certificates and keys again; connections made from then on use them.
    ///
    /// Sessions of before are not resumed: who trusts a certificate no more does not do so by way of an old session.
    ///
    /// Errors: as [`over`](Self::over); what was in use then stays.
    pub fn reload(&self) -> Result<()> {
        let read = self.0.config.read()?;
        *self.0.current.lock() = read;
        Ok(())
    }

    fn current(&self) -> Current {
        self.0.current.lock().clone()
    }

    /// The name that the certificate of a node must have.
    fn server_name(&self, node: &str) -> io::Result<ServerName<'static>> {
        let name = self.0.config.server_name.as_deref().unwrap_or(node);
        // A node that has no other name has that of its address: its certificate is one for the IP.
        let ip = name.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| name.parse::<IpAddr>());
        if let Ok(ip) = ip {
            return Ok(ServerName::IpAddress(ip.into()));
        }
        let wrong =
            |_| io::Error::new(io::ErrorKind::InvalidInput, "the node's name is none that a certificate can have");
        ServerName::try_from(name.to_owned()).map_err(wrong)
    }
}

impl Transport for Tls {
    fn bind(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let below = self.0.below.bind(at).await?;
            Ok(Box::new(Bound { tls: self.clone(), below }) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, to: SocketAddr, name: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let server_name = self.server_name(name)?;
            let stream = self.0.below.connect(to, name).await?;
            let connector = TlsConnector::from(self.current().client);
            Ok(Box::new(connector.connect(server_name, stream).await?) as BoxStream)
        })
    }

    fn is_secure(&self) -> bool {
        true
    }
}

struct Bound {
    tls: Tls,
    below: Box<dyn Listener>,
}

impl Listener for Bound {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async {
            let Accepted { remote, ready } = self.below.accept().await?;
            let acceptor = TlsAcceptor::from(self.tls.current().server);
            let ready = Box::pin(async move { Ok(Box::new(acceptor.accept(ready.await?).await?) as BoxStream) });
            Ok(Accepted { remote, ready })
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.below.local_addr()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("below", &self.0.below).field("config", &self.0.config).finish()
    }
}
