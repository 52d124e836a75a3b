//! Whether the node lives, and whether it is ready, for probes: `/healthz` and `/readyz`.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use memstache_cluster::Engine;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::AbortHandle,
    time::timeout,
};

/// The most bytes of a request that are read.
const HEAD: usize = 1024;
/// How many requests may be under way: more are hung up on.
const AT_ONCE: usize = 16;
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers probes until it is dropped.
pub(crate) struct Health(AbortHandle);

impl Health {
    pub(crate) async fn listen(at: SocketAddr, engine: &Engine) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        Ok(Self(tokio::spawn(serve(listener, engine.clone())).abort_handle()))
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(listener: TcpListener, engine: Engine) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if let Ok(place) = Arc::clone(&room).try_acquire_owned() {
            // Not once it has started, but once it owns its share; and no more when it begins to stop.
            let ready = engine.is_ready();
            tokio::spawn(async move {
                let _ = timeout(PATIENCE, answer(stream, ready)).await;
                drop(place);
            });
        }
    }
}

async fn answer(mut stream: TcpStream, ready: bool) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = match head.split(|byte| *byte == b' ').nth(1) {
        Some(b"/healthz") => ("200 OK", "ok"),
        Some(b"/readyz") if ready => ("200 OK", "ready"),
        Some(b"/readyz") => ("503 Service Unavailable", "not ready"),
        _ => ("404 Not Found", "not found"),
    };
    let len = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await
}
