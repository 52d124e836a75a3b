//! UDP of the operating system.

use std::{io, net::SocketAddr};

use bytes::BytesMut;
use memstache_core::BoxFuture;
use tokio::net::UdpSocket;

use super::{Datagrams, MAX_DATAGRAM};

/// A UDP socket.
#[derive(Debug)]
pub struct Udp(UdpSocket);

impl Udp {
    /// Binds a socket; port 0 is any free one. Errors: the address is taken, or is none of this machine's.
    pub async fn bind(at: SocketAddr) -> io::Result<Self> {
        UdpSocket::bind(at).await.map(Self)
    }
}

impl Datagrams for Udp {
    fn send_to<'a>(&'a self, datagram: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.0.send_to(datagram, to).await.map(drop) })
    }

    fn recv_from<'a>(&'a self, buffer: &'a mut BytesMut) -> BoxFuture<'a, io::Result<SocketAddr>> {
        Box::pin(async move {
            loop {
                self.0.readable().await?;
                buffer.clear();
                buffer.reserve(MAX_DATAGRAM);
                match self.0.try_recv_buf_from(buffer) {
                    Ok((_, from)) => return Ok(from),
                    // An earlier datagram of ours was answered by "nobody is here": that is no error of receiving.
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_datagram_arrives_whole_and_replaces_the_last() {
        let (a, b) = (Udp::bind(([127, 0, 0, 1], 0).into()).await.unwrap(), udp().await);
        let nobody = { udp().await.local_addr().unwrap() };
        a.send_to(b"into the void", nobody).await.unwrap();
        let to = b.local_addr().unwrap();
        let mut buffer = BytesMut::from(&b"older"[..]);
        for text in [&[7; 1400][..], b"tea", b""] {
            a.send_to(text, to).await.unwrap();
            assert_eq!(b.recv_from(&mut buffer).await.unwrap(), a.local_addr().unwrap());
            assert_eq!(buffer, text);
        }
        b.send_to(b"back", a.local_addr().unwrap()).await.unwrap();
        a.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..], b"back");
        assert!(a.send_to(&vec![0; MAX_DATAGRAM + 1], to).await.is_err());
    }

    async fn udp() -> Udp {
        Udp::bind(([127, 0, 0, 1], 0).into()).await.unwrap()
    }
}
