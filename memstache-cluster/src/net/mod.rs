//! The network below the cluster, as two traits: streams of bytes, and datagrams.
//!
//! [`Tcp`] and [`Udp`] are the operating system's; `Tls` (feature `tls`) wraps any transport; `SimNetwork` (feature
//! `test-util`) is a network in memory with delays, losses and cut links, for tests and simulations.

#[cfg(any(test, feature = "test-util"))]
mod memory;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod udp;

use std::{fmt, io, net::SocketAddr};

use bytes::BytesMut;
use memstache_core::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(any(test, feature = "test-util"))]
pub use self::memory::{SimDatagrams, SimHost, SimNetwork, Traffic};
#[cfg(feature = "tls")]
pub use self::tls::{Pem, Tls, TlsConfig, Watching};
pub use self::{tcp::Tcp, udp::Udp};

/// Most bytes that a datagram holds.
pub const MAX_DATAGRAM: usize = 65_507;

/// Bytes that go both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// A stream of any transport.
pub type BoxStream = Box<dyn ByteStream>;

/// Makes and takes connections.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Listens at an address; port 0 is any free one.
    ///
    /// Errors: the address is taken, or is none of this machine's.
    fn bind(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Connects to a node; what can be checked of `name`, the node's, is checked.
    ///
    /// Ends when the connection can be written to. The caller bounds how long that may take.
    fn connect<'a>(&'a self, to: SocketAddr, name: &'a str) -> BoxFuture<'a, io::Result<BoxStream>>;

    /// Returns whether what is sent is encrypted and both ends are authenticated.
    fn is_secure(&self) -> bool {
        false
    }
}

/// Takes connections.
pub trait Listener: Send + 'static {
    /// Takes the next one. May be dropped and called again.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Accepted>>;

    /// Returns where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A connection that was taken, and is not ready yet.
pub struct Accepted {
    /// Where it comes from.
    pub remote: SocketAddr,
    /// Ends when it can be written to; TLS is spoken in it, so that nobody who is slow about that holds up the others.
    pub ready: BoxFuture<'static, io::Result<BoxStream>>,
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// Sends and receives datagrams, which may be lost, doubled and put in another order.
pub trait Datagrams: fmt::Debug + Send + Sync + 'static {
    /// Sends one; nobody says whether it arrives. Errors: longer than [`MAX_DATAGRAM`], or no way to send at all.
    fn send_to<'a>(&'a self, datagram: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>>;

    /// Waits for one, puts it in the place of what the buffer holds, and returns where it came from.
    ///
    /// # Cancellation
    /// Dropped, it takes none.
    fn recv_from<'a>(&'a self, buffer: &'a mut BytesMut) -> BoxFuture<'a, io::Result<SocketAddr>>;

    /// Returns where it receives.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}
