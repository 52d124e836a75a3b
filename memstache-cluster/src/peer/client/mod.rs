//! Calling peers.

mod connection;
mod dial;
mod driver;
mod line;
mod slots;
mod stats;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use memstache_core::{
    BoxFuture, Clock, Error, ErrorKind, Result,
    resilience::{BreakerConfig, BreakerState, CircuitBreaker},
};
use parking_lot::RwLock;

pub(in crate::peer) use self::dial::nonce;
use self::{
    dial::{Means, Whom},
    driver::Late,
    line::Line,
    stats::Counters,
};
pub(crate) use self::{driver::Silent, stats::PeerHealth};
use super::{PeerConfig, local::Local};
use crate::{
    member::{Member, NodeId},
    net::Transport,
    wire::{Answer, Call, CallContext, Calls},
};

/// Calls to all peers of a node. Clones share their connections.
///
/// A connection is made by the first call, and made again by the next one after it was lost. A peer that does not answer
/// has its breaker open: calls fail at once, without effect, until a probe succeeds.
#[derive(Clone)]
pub(crate) struct Peers(Arc<Inner>);

struct Inner {
    means: Arc<Means>,
    breaker: BreakerConfig,
    peers: RwLock<HashMap<NodeId, Arc<Peer>>>,
    /// Told when a peer's breaker changes.
    on_breaker: OnBreaker,
    /// No more calls are made. Set and asked for under the lock of the peers.
    closed: AtomicBool,
}

/// Is told that the breaker of a peer has changed.
pub(crate) type OnBreaker = Arc<dyn Fn(NodeId, BreakerState) + Send + Sync>;

struct Peer {
    lines: Box<[Arc<Line>]>,
    turn: AtomicUsize,
    breaker: CircuitBreaker,
    counters: Arc<Counters>,
}

impl Peers {
    /// Creates it without connections.
    ///
    /// Errors: `Invalid` for limits out of their limits.
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        local: Local,
        config: PeerConfig,
        clock: Arc<dyn Clock>,
        on_breaker: OnBreaker,
    ) -> Result<Self> {
        config.check()?;
        let breaker = BreakerConfig::source().with_open_for(config.max_backoff);
        breaker.check()?;
        let means = Means { transport, local: Arc::new(local), config: Arc::new(config), clock };
        Ok(Self(Arc::new(Inner {
            means: Arc::new(means),
            breaker,
            peers: RwLock::default(),
            on_breaker,
            closed: AtomicBool::new(false),
        })))
    }

    /// Returns how a peer is; `None` if it was never called.
    pub(crate) fn health(&self, id: NodeId) -> Option<PeerHealth> {
        let peer = self.0.peers.read().get(&id).cloned()?;
        let in_flight = peer.lines.iter().filter_map(|line| line.in_flight()).reduce(|all, one| all + one);
        Some(peer.counters.health(peer.breaker.state(), in_flight, self.0.means.clock.now()))
    }

    /// Ends the connections to all peers but these: of those that left.
    pub(crate) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        retain(&mut self.0.peers.write(), keep);
    }

    /// Ends all connections, for good: no more calls are made.
    pub(crate) fn close(&self) {
        let mut peers = self.0.peers.write();
        self.0.closed.store(true, Relaxed);
        retain(&mut peers, |_| false);
    }
}

fn retain(peers: &mut HashMap<NodeId, Arc<Peer>>, keep: impl Fn(NodeId) -> bool) {
    let (kept, gone): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(peers).into_iter().partition(|(id, _)| keep(*id));
    *peers = kept;
    gone.values().for_each(|peer| peer.close());
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("known", &self.0.peers.read().len()).finish_non_exhaustive()
    }
}

impl Calls for Peers {
    fn call(&self, to: &Member, call: Call, context: CallContext) -> BoxFuture<'static, Result<Answer>> {
        let (inner, whom) = (Arc::clone(&self.0), Whom::from(to));
        Box::pin(async move { inner.call(&whom, &call, &context).await })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.peers.get_mut().values().for_each(|peer| peer.close());
    }
}

impl Inner {
    fn peer(&self, id: NodeId) -> Result<Arc<Peer>> {
        if let Some(peer) = self.peers.read().get(&id) {
            return Ok(Arc::clone(peer));
        }
        let mut peers = self.peers.write();
        if self.closed.load(Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "this node is stopping").without_effect());
        }
        Ok(Arc::clone(peers.entry(id).or_insert_with(|| Arc::new(self.new_peer(id)))))
    }

    fn new_peer(&self, id: NodeId) -> Peer {
        let (counters, told) = (Arc::new(Counters::default()), Arc::clone(&self.on_breaker));
        let breaker = CircuitBreaker::new(self.breaker).expect("the settings were checked");
        let breaker = breaker.with_listener(move |state| told(id, state));
        let line = |_| Arc::new(Line::new(Arc::clone(&self.means), Arc::clone(&counters)));
        Peer {
            lines: (0..self.means.config.connections).map(line).collect(),
            turn: AtomicUsize::new(0),
            breaker: breaker.with_clock(Arc::clone(&self.means.clock)),
            counters: Arc::clone(&counters),
        }
    }

    async fn call(&self, whom: &Whom, call: &Call, context: &CallContext) -> Result<Answer> {
        let peer = self.peer(whom.id)?;
        let admitted = peer.breaker.try_call().map_err(|refused| Error::from(refused).without_effect())?;
        let clock = &self.means.clock;
        let started = clock.elapsed();
        let result = peer.call(whom, call, context, clock).await;
        match &result {
            Ok(_) => peer.counters.answered(clock.elapsed().saturating_sub(started), clock.lower_bound()),
            Err(error) if is_failure(error) => peer.counters.failed(),
            Err(_) => {}
        }
        // Whether the peer is silent is found out by the connection, which then ends.
        if !result.as_ref().is_err_and(|error| error.find_source::<Late>().is_some()) {
            admitted.ended(result.as_ref().err());
        }
        result
    }
}

/// Whether an error says something about the peer.
fn is_failure(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unknown | ErrorKind::Unavailable | ErrorKind::Protocol)
}

impl Peer {
    async fn call(&self, whom: &Whom, call: &Call, context: &CallContext, clock: &Arc<dyn Clock>) -> Result<Answer> {
        let line = match &*self.lines {
            [one] => one,
            lines => &lines[self.turn.fetch_add(1, Relaxed) % lines.len()],
        };
        let mut connection = match line.up(whom) {
            Some(connection) => connection,
            None => line.connection(whom, context.deadline).await?,
        };
        let mut started = connection.start(call, context, clock.now());
        if started.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            // It was just lost, and nothing was sent.
            connection = line.connection(whom, context.deadline).await?;
            started = connection.start(call, context, clock.now());
        }
        let frame = started?.await.map_err(|error| cut_off(call, error))?;
        connection.read_answer(&frame)
    }

    fn close(&self) {
        self.lines.iter().for_each(|line| line.close());
    }
}

/// What was sent and not answered may have happened.
fn cut_off(call: &Call, error: Error) -> Error {
    if !call.may_have_effect() {
        return error;
    }
    let detail = format!("it may or may not have happened: {error}");
    Error::new(ErrorKind::Unknown, detail).with_source(error)
}
