//! The wish to end: Ctrl-C or, on Unix, SIGTERM.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::watch;

/// Tells everybody who waits for it that the program shall end.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// Creates one that nobody has wished for yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Starts to listen for signals, for as long as the program runs.
    pub(crate) fn listen() -> Result<Self> {
        let (shutdown, signals) = (Self::new(), signals().context("signals cannot be listened to")?);
        let wish = shutdown.clone();
        tokio::spawn(async move {
            signals.await;
            wish.wish();
        });
        Ok(shutdown)
    }

    /// Wishes it.
    pub(crate) fn wish(&self) {
        self.0.send_replace(true);
    }

    /// Completes once it is wished.
    pub(crate) async fn wished(&self) {
        // It cannot fail: this handle is a sender too.
        drop(self.0.subscribe().wait_for(|wished| *wished).await);
    }

    /// Whether it is wished, for work that cannot wait.
    pub(crate) fn is_wished(&self) -> bool {
        *self.0.borrow()
    }
}

#[cfg(unix)]
fn signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut keyboard, mut manager) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = keyboard.recv() => {}
            _ = manager.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signals() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        drop(tokio::signal::ctrl_c().await);
    })
}
