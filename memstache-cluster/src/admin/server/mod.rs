//! An own listener: connections, heads, bodies and time are bounded.

mod connection;
mod held;
mod patient;
mod seats;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use memstache_core::{Clock, Result};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::timeout,
};

use self::{connection::Connection, seats::Seats};
use super::{router, state::Shared};
use crate::{
    engine::{EngineError, State},
    net::{Listener, Transport},
};

/// How long to wait after a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);
/// How long answers that have begun may take once the server is told to end.
const GRACE: Duration = Duration::from_secs(1);

/// Where and how an own listener listens.
pub(super) struct Listen {
    pub(super) bind: SocketAddr,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) max_connections: usize,
    pub(super) timeout: Duration,
}

impl fmt::Debug for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listen").field("bind", &self.bind).field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// Admin endpoints that listen by themselves, until the engine stops or this is dropped.
#[must_use = "it ends when it is dropped"]
pub struct AdminServer {
    local_addr: SocketAddr,
    end: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl AdminServer {
    /// Returns where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops listening, and waits until answers that have begun are sent, for a second at most.
    pub async fn stop(self) {
        self.end.send_replace(true);
        // An error says that it had ended before.
        self.ended.await.ok();
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServer").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

/// Binds, and serves beside the engine.
pub(super) async fn serve(shared: &Arc<Shared>, listen: &Arc<Listen>) -> Result<AdminServer> {
    let engine = shared.engine()?;
    if engine.node.state() == State::Stopped {
        return Err(EngineError::Stopped.into());
    }
    let listener = listen.transport.bind(listen.bind).await?;
    let local_addr = listener.local_addr()?;
    let (end, told) = watch::channel(false);
    let (done, ended) = oneshot::channel();
    let server =
        Server { router: router::outer(shared), clock: Arc::clone(&engine.node.clock), listen: Arc::clone(listen) };
    engine.node.spawn(async move {
        server.run(listener, told).await;
        // Nobody need wait for it.
        done.send(()).ok();
    });
    Ok(AdminServer { local_addr, end, ended })
}

struct Server {
    router: Router,
    clock: Arc<dyn Clock>,
    listen: Arc<Listen>,
}

impl Server {
    async fn run(self, mut listener: Box<dyn Listener>, mut end: watch::Receiver<bool>) {
        let seats = Arc::new(Seats::new(self.listen.max_connections));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                () = told(&mut end) => break,
                accepted = listener.accept() => accepted,
            };
            let Ok(accepted) = accepted else {
                self.clock.sleep_until(self.clock.now().after(PAUSE)).await;
                continue;
            };
            seats.take(|seat| {
                let connection = Connection {
                    router: self.router.clone(),
                    clock: Arc::clone(&self.clock),
                    listen: Arc::clone(&self.listen),
                    seat,
                };
                connections.spawn(connection.serve(accepted, end.clone()))
            });
        }
        drop(listener);
        let rest = async { while connections.join_next().await.is_some() {} };
        // What is still there then is cut off: it follows events, or does not read.
        timeout(GRACE, rest).await.ok();
    }
}

/// Completes when the server is to end.
async fn told(end: &mut watch::Receiver<bool>) {
    // An error says that the handle was dropped, which is an end too.
    end.wait_for(|end| *end).await.ok();
}
