//! Answering peers.

mod admission;
mod call;
mod connection;
mod finished;
mod stats;

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use memstache_core::{Clock, Result, Tick};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinHandle},
};

pub use self::stats::ServerStats;
use self::{
    admission::{NotReady, Waiting, admit},
    connection::{Common, Connection, End},
    finished::Finished,
    stats::Counters,
};
use super::{PeerConfig, handshake::Refusal, local::Local, until::until};
use crate::{
    net::{Accepted, Listener},
    wire::{Handler, PeerInfo},
};

/// The pause after a connection could not be taken: there may be no more file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes the connections of peers, and has their calls answered. Dropped, it ends at once with all it has under way.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    common: Arc<Common>,
    local: Arc<Local>,
    waiting: Waiting,
    stopping: AtomicBool,
    connections: Mutex<HashMap<u64, Known>>,
    /// A connection has ended.
    ended: Notify,
    last_id: AtomicU64,
}

/// What is known of a connection from outside of its task.
struct Known {
    finished: Arc<Finished>,
    /// Missing for the moment between the two: it is known before it runs.
    task: Option<AbortHandle>,
}

impl Known {
    fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Server {
    /// Begins to take connections.
    ///
    /// Errors: `Invalid` for limits out of their limits, `Io` if the listener has no address.
    pub(crate) fn start(
        listener: Box<dyn Listener>,
        local: Local,
        handler: Arc<dyn Handler>,
        config: PeerConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        config.check()?;
        let address = listener.local_addr()?;
        let common = Common { handler, config: Arc::new(config), clock, counters: Arc::default() };
        let shared = Arc::new(Shared {
            common: Arc::new(common),
            local: Arc::new(local),
            waiting: Waiting::default(),
            stopping: AtomicBool::new(false),
            connections: Mutex::default(),
            ended: Notify::new(),
            last_id: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(Arc::clone(&shared), listener));
        Ok(Self { address, shared, accepting })
    }

    /// Returns where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what it has seen so far.
    pub(crate) fn stats(&self) -> ServerStats {
        self.shared.common.counters.snapshot()
    }

    /// Takes no more calls, waits until those under way are answered or `deadline` passes, and closes everything.
    ///
    /// # Cancellation
    /// Dropped, it closes everything at once.
    pub(crate) async fn stop(mut self, deadline: Tick) {
        self.accepting.abort();
        let clock = Arc::clone(&self.shared.common.clock);
        // Its error is that it was ended. Nobody listens from here on.
        let _ = until(&clock, Some(deadline), &mut self.accepting).await;
        let shared = &self.shared;
        shared.stopping.store(true, SeqCst);
        for known in shared.connections.lock().values() {
            // Who is not ready yet has no call to lose.
            if !known.finished.stop() {
                known.abort();
            }
        }
        let all_ended = async {
            loop {
                let ended = shared.ended.notified();
                if shared.connections.lock().is_empty() {
                    return;
                }
                ended.await;
            }
        };
        let _: Option<()> = until(&shared.common.clock, Some(deadline), all_ended).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, SeqCst);
        self.accepting.abort();
        self.shared.connections.lock().values().for_each(Known::abort);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

async fn accept(shared: Arc<Shared>, mut listener: Box<dyn Listener>) {
    let (clock, counters) = (&shared.common.clock, &shared.common.counters);
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                counters.accepted.add();
                shared.spawn(accepted);
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                tracing::warn!("the listener for peers is gone");
                return;
            }
            Err(error) => {
                counters.accept_errors.add();
                tracing::warn!(error = %error, "a connection of a peer could not be taken");
                clock.sleep_until(clock.now().after(ACCEPT_PAUSE)).await;
            }
        }
    }
}

impl Shared {
    fn spawn(self: &Arc<Self>, accepted: Accepted) {
        let id = self.last_id.fetch_add(1, Relaxed);
        let finished = Arc::new(Finished::default());
        self.connections.lock().insert(id, Known { finished: Arc::clone(&finished), task: None });
        let ended = Ended { shared: Arc::clone(self), id };
        let task = tokio::spawn(Arc::clone(self).serve(accepted, finished, ended)).abort_handle();
        if let Some(known) = self.connections.lock().get_mut(&id) {
            known.task = Some(task.clone());
        }
        if self.waiting.add(id, task, self.common.config.max_handshakes) {
            self.common.counters.handshakes_evicted.add();
        }
    }

    async fn serve(self: Arc<Self>, accepted: Accepted, finished: Arc<Finished>, ended: Ended) {
        let remote = accepted.remote;
        let Common { config, clock, counters, .. } = &*self.common;
        let deadline = clock.now().after(config.handshake_timeout);
        let admitted = until(clock, Some(deadline), admit(accepted, &self.local, config, || self.refuse())).await;
        self.waiting.remove(ended.id);
        let (io, agreed) = match admitted {
            Some(Ok(admitted)) => admitted,
            Some(Err(NotReady::Refused(refusal))) => {
                counters.refused(refusal);
                tracing::warn!(%remote, reason = %refusal, "a peer was refused");
                return;
            }
            Some(Err(NotReady::Failed(error))) => {
                counters.handshakes_failed.add();
                tracing::debug!(%remote, error = %error, "a connection did not become that of a peer");
                return;
            }
            None => {
                counters.handshakes_late.add();
                tracing::debug!(%remote, "a connection did not become that of a peer in time");
                return;
            }
        };
        let info = PeerInfo {
            id: agreed.node,
            incarnation: agreed.incarnation,
            protocol: agreed.protocol,
            remote: Some(remote),
        };
        finished.set_ready();
        if self.stopping.load(SeqCst) {
            finished.stop();
        }
        let _open = Open::new(&self.common.counters);
        let end = Connection::new(Arc::clone(&self.common), io, Arc::new(info), finished).await;
        match end {
            End::Closed | End::Stopped => {}
            End::BadFrame(error) => {
                counters.bad_frames.add();
                tracing::warn!(%remote, error = %error, "the connection of a peer was closed");
            }
            End::Slow => {
                counters.slow.add();
                tracing::warn!(%remote, "the connection of a peer was closed: a frame took longer than it may");
            }
            End::Idle => counters.idle.add(),
        }
    }

    fn refuse(&self) -> Option<Refusal> {
        let Common { config, counters, .. } = &*self.common;
        if self.stopping.load(SeqCst) {
            return Some(Refusal::Stopping);
        }
        (counters.open.get() >= config.max_connections as u64).then_some(Refusal::Busy)
    }
}

/// Forgets a connection when its task ends, however that ends.
struct Ended {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.shared.connections.lock().remove(&self.id);
        self.shared.waiting.remove(self.id);
        self.shared.ended.notify_waiters();
    }
}

/// Counts a connection for as long as it is open.
struct Open(Arc<Counters>);

impl Open {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.open.add();
        Self(Arc::clone(counters))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.sub();
    }
}
