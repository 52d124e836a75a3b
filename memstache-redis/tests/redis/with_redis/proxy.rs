//! A server that hangs, is cut off, or is not there: a relay in front of a real one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    task::JoinHandle,
};

/// Relays connections to an upstream. Dropping it ends all of them.
pub(crate) struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    count: Arc<AtomicU64>,
    accepts: JoinHandle<()>,
}

/// How connections up to a number fare; later ones are relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mode {
    /// What comes from clients is not passed on, and kept.
    stalled: u64,
    /// Are cut.
    cut: u64,
}

impl Proxy {
    /// Listens on a port of its own choice.
    pub(crate) async fn start(upstream: String) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.expect("a port"), upstream)
    }

    pub(crate) fn listen(listener: TcpListener, upstream: String) -> Self {
        let port = listener.local_addr().expect("a bound listener").port();
        let mode = watch::Sender::new(Mode::default());
        let count = Arc::new(AtomicU64::new(0));
        let (modes, counted) = (mode.clone(), Arc::clone(&count));
        let accepts = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
                tokio::spawn(relay(client, upstream.clone(), modes.subscribe(), number));
            }
        });
        Self { port, mode, count, accepts }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Holds back what clients send from now on, on all connections, new ones too.
    pub(crate) fn stall(&self) {
        self.mode.send_modify(|mode| mode.stalled = u64::MAX);
    }

    /// Holds back what clients send on the connections that there are; new ones work.
    pub(crate) fn stall_existing(&self) {
        let count = self.count.load(Ordering::Relaxed);
        self.mode.send_modify(|mode| mode.stalled = count);
    }

    /// Passes on what was held back.
    pub(crate) fn resume(&self) {
        self.mode.send_modify(|mode| mode.stalled = 0);
    }

    /// Cuts all connections, and those to come.
    pub(crate) fn cut(&self) {
        self.mode.send_modify(|mode| mode.cut = u64::MAX);
    }

    /// Lets clients connect again.
    pub(crate) fn heal(&self) {
        self.mode.send_modify(|mode| mode.cut = 0);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepts.abort();
        self.cut();
    }
}

async fn relay(client: TcpStream, upstream: String, modes: watch::Receiver<Mode>, number: u64) {
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut cut = modes.clone();
    let up = pass(from_client, to_server, modes, number);
    let down = pass(from_server, to_client, watch::Sender::new(Mode::default()).subscribe(), number);
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = cut.wait_for(|mode| number <= mode.cut) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut modes: watch::Receiver<Mode>, number: u64) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(len) = from.read(&mut buffer).await else { return };
        if len == 0 {
            return;
        }
        // An error means that nobody changes the mode any more.
        let _ = modes.wait_for(|mode| number > mode.stalled).await;
        if to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}
