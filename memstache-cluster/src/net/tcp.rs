//! TCP of the operating system.

use std::{io, net::SocketAddr};

use memstache_core::BoxFuture;
use tokio::net::{TcpListener, TcpStream};

use super::{Accepted, BoxStream, Listener, Transport};

/// TCP, plain: anyone on the way can read and change what is sent.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use memstache_cluster::net::{Tcp, Transport};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let mut listener = Tcp::new().bind(([127, 0, 0, 1], 0).into()).await?;
/// let address = listener.local_addr()?;
/// let mut near = Tcp::new().connect(address, "a").await?;
/// let mut far = listener.accept().await?.ready.await?;
/// near.write_all(b"tea").await?;
/// let mut text = [0; 3];
/// far.read_exact(&mut text).await?;
/// assert_eq!(&text, b"tea");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Tcp;

impl Tcp {
    /// Creates the transport.
    pub const fn new() -> Self {
        Self
    }
}

impl Transport for Tcp {
    fn bind(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(at).await?;
            Ok(Box::new(Bound(listener)) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, to: SocketAddr, _: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move { prepared(TcpStream::connect(to).await?) })
    }
}

struct Bound(TcpListener);

impl Listener for Bound {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async {
            let (stream, remote) = self.0.accept().await?;
            Ok(Accepted { remote, ready: Box::pin(async move { prepared(stream) }) })
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Writes are gathered before they are made: the operating system is not to wait for more.
fn prepared(stream: TcpStream) -> io::Result<BoxStream> {
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
