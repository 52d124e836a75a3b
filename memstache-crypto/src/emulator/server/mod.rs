//! The network in front of the vault: HTTP/1.1, with TLS or without.

mod respond;

use std::{io, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::front::Front;

/// Most connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may take for a handshake, the head of a request, or its body.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long open requests may take once the emulator is told to end.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait after a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// What a server needs to know.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) front: Arc<Front>,
    pub(super) tls: Option<TlsAcceptor>,
    /// Turns true, or is dropped, when the server is to end.
    pub(super) end: watch::Receiver<bool>,
}

impl Server {
    /// Serves until it is told to end, then lets open requests finish. Dropping the future closes every connection.
    pub(super) async fn run(mut self, listener: TcpListener) {
        let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accept = async {
                let permit = Arc::clone(&free).acquire_owned().await.expect("the semaphore is never closed");
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = ended(&mut self.end) => break,
                accepted = accept => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let server = self.clone();
                    connections.spawn(async move {
                        // What goes wrong with one connection is the client's to see.
                        server.connection(stream).await.ok();
                        drop(permit);
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        drop(listener);
        timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await.ok();
    }

    async fn connection(self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match self.tls.clone() {
            Some(tls) => {
                let stream = timeout(PATIENCE, tls.accept(stream)).await??;
                self.serve("https", stream).await
            }
            None => self.serve("http", stream).await,
        }
    }

    async fn serve(mut self, scheme: &'static str, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let front = Arc::clone(&self.front);
        let service = service_fn(move |request| respond::respond(Arc::clone(&front), scheme, request));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(64 * 1024);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = ended(&mut self.end) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        done.map_err(io::Error::other)
    }
}

/// Completes when the server is to end.
async fn ended(end: &mut watch::Receiver<bool>) {
    // An error says that the emulator was dropped, which is an end too.
    end.wait_for(|end| *end).await.ok();
}
