//! Making connections of our own to a primary.

use std::{io, time::Duration};

use fred::types::config::Config;
use memstache_core::Clock;
use tokio::net::TcpStream;

use super::wire::{Heard, Stream, Wire};
use crate::client::Node;

/// How a connection is made: what the driver goes by, too.
pub(crate) struct Dialer {
    username: Option<String>,
    password: Option<String>,
    database: Option<u8>,
    client_name: Option<String>,
    timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsConnector>,
}

impl Dialer {
    pub(crate) fn new(config: &Config, client_name: Option<String>, timeout: Duration) -> Self {
        Self {
            username: config.username.clone(),
            password: config.password.clone(),
            database: config.database,
            client_name,
            timeout,
            #[cfg(feature = "tls")]
            tls: config.tls.as_ref().and_then(|tls| match &tls.connector {
                fred::types::config::TlsConnector::Rustls(connector) => Some(connector.clone()),
                // Another crate's choice of features, another library.
                #[allow(unreachable_patterns)]
                _ => None,
            }),
        }
    }

    /// Connects to a primary, says who we are and sends a first command; all of it in the time that a connection may
    /// take.
    pub(super) async fn dial(&self, node: &Node, clock: &dyn Clock, first: &[&[u8]]) -> io::Result<Wire> {
        let late = clock.sleep_until(clock.now().after(self.timeout));
        let dialed = Box::pin(self.dial_now(node, first));
        match futures_util::future::select(dialed, late).await {
            futures_util::future::Either::Left((wire, _)) => wire,
            futures_util::future::Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn dial_now(&self, node: &Node, first: &[&[u8]]) -> io::Result<Wire> {
        let stream = TcpStream::connect((node.host.as_str(), node.port)).await?;
        stream.set_nodelay(true)?;
        let mut wire = Wire::new(self.secure(node, stream).await?);
        let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
        if let Some(password) = &self.password {
            hello.extend([b"AUTH", self.username.as_deref().unwrap_or("default").as_bytes(), password.as_bytes()]);
        }
        if let Some(name) = &self.client_name {
            hello.extend([&b"SETNAME"[..], name.as_bytes()]);
        }
        ask(&mut wire, &hello).await?;
        if let Some(database) = self.database {
            ask(&mut wire, &[b"SELECT", database.to_string().as_bytes()]).await?;
        }
        ask(&mut wire, first).await?;
        Ok(wire)
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, node: &Node, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let Some(connector) = &self.tls else { return Ok(Box::new(stream)) };
        let name = node.tls_name.as_deref().unwrap_or(&node.host).to_owned();
        let name = rustls::pki_types::ServerName::try_from(name)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the host is no name for a certificate"))?;
        Ok(Box::new(connector.connect(name, stream).await?))
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "the other build waits for a handshake")]
    async fn secure(&self, _: &Node, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(stream))
    }
}

/// Sends a command and waits for its answer, on a connection that is not told anything yet.
async fn ask(wire: &mut Wire, command: &[&[u8]]) -> io::Result<()> {
    wire.send(command).await?;
    loop {
        match wire.hear().await? {
            Heard::Answer(Ok(_)) => return Ok(()),
            Heard::Answer(Err(failure)) => {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("the server refused: {failure:?}"),
                ));
            }
            Heard::Changed(_) | Heard::Flushed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::testing::ManualClock;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_server_that_greets_and_then_hangs_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let clock = ManualClock::new();
        let turned = clock.clone();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = vec![0; 1024];
            let _hello = stream.read(&mut heard).await.unwrap();
            stream.write_all(b"%0\r\n").await.unwrap();
            let len = stream.read(&mut heard).await.unwrap();
            turned.advance(Duration::from_secs(5));
            // Not closed: the rest is silence.
            (stream, heard[..len].ends_with(b"TRACKING\r\n"))
        });
        let dialer = Dialer::new(&Config::default(), None, Duration::from_secs(5));
        let node = Node::new("127.0.0.1".into(), port, None);
        let dialed =
            tokio::time::timeout(Duration::from_secs(20), dialer.dial(&node, &clock, &[b"CLIENT", b"TRACKING"]));
        let error = dialed.await.expect("given up by its own clock").err().expect("no wire");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(server.await.unwrap().1, "the first command was sent");
    }
}
