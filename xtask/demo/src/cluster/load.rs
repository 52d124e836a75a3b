//! A load at a steady pace, through all nodes that are there.

use std::{
    collections::BTreeMap,
    mem,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    sync::{RwLock, RwLockWriteGuard, watch},
    task::JoinSet,
    time::{Instant, interval_at},
};

use super::tally::{Asked, Tally};
use crate::{
    load::{Answer, Connection, Demand},
    place::Place,
};

/// Between two requests of a client.
pub(super) const EACH: Duration = Duration::from_millis(50);

/// A node that can be asked, by its number.
pub(super) type Target = (usize, SocketAddr);

/// The load, running; it ends when this is dropped.
pub(super) struct Load {
    shared: Arc<Shared>,
    _clients: JoinSet<()>,
}

struct Shared {
    demand: Arc<Demand>,
    targets: watch::Sender<Arc<[Target]>>,
    /// By rank: whether the product was answered before.
    known: Vec<AtomicBool>,
    tally: Mutex<Tally>,
    /// Read while a request is under way.
    gate: RwLock<()>,
}

impl Load {
    /// Starts so many clients, one after the other within their pace.
    pub(super) fn start(demand: Arc<Demand>, clients: u16, targets: Vec<Target>) -> Self {
        let known = (0..demand.ranks_in_all()).map(|_| AtomicBool::new(false)).collect();
        let targets = watch::Sender::new(targets.into());
        let shared = Arc::new(Shared { demand, targets, known, tally: Mutex::default(), gate: RwLock::default() });
        let (mut all, start) = (JoinSet::new(), Instant::now());
        for number in 0..clients {
            all.spawn(Arc::clone(&shared).client(number, start, EACH * u32::from(number) / u32::from(clients)));
        }
        Self { shared, _clients: all }
    }

    /// Asks these nodes from now on, as a load balancer that was told.
    pub(super) fn ask(&self, targets: Vec<Target>) {
        self.shared.targets.send_replace(targets.into());
    }

    /// Waits until no request is under way, and lets none begin for as long as what it returns is kept.
    pub(super) async fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.gate.write().await
    }

    /// Takes what was seen since the last time. Requests count when they are answered.
    pub(super) fn take(&self) -> Tally {
        mem::take(&mut self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    async fn client(self: Arc<Self>, number: u16, start: Instant, after: Duration) {
        let mut turns = interval_at(start + after, EACH);
        let mut ranks = self.demand.ranks(u64::from(number));
        let mut connections = BTreeMap::new();
        // Each client begins at another node.
        for turn in usize::from(number).. {
            // Not when it is sent: who waits for the answer before counts, too.
            let mut due = turns.tick().await;
            let _under_way = match self.gate.try_read() {
                Ok(open) => open,
                Err(_) => {
                    // A pause is nobody's fault: all begin anew, one after the other.
                    let open = self.gate.read().await;
                    due = Instant::now();
                    turns.reset_at(due + after);
                    open
                }
            };
            let rank = ranks.draw();
            let known = self.known[rank].load(Relaxed);
            let (node, moved, answer) = self.ask(&mut connections, turn, self.demand.place(rank)).await;
            if answer.is_ok() {
                self.known[rank].store(true, Relaxed);
            }
            let asked = Asked { rank, node, known, moved, latency: due.elapsed() };
            self.tally.lock().unwrap_or_else(PoisonError::into_inner).note(&asked, answer);
        }
    }

    /// Asks the node whose turn it is; if that was killed meanwhile, the next one.
    async fn ask(
        &self,
        connections: &mut BTreeMap<usize, Connection>,
        turn: usize,
        place: Place,
    ) -> (usize, bool, Result<Answer>) {
        let mut moved = false;
        loop {
            let (node, at) = {
                let targets = self.targets.borrow();
                targets[turn % targets.len()]
            };
            let answer = product(connections, node, at, place).await;
            let gone = !self.targets.borrow().iter().any(|(number, _)| *number == node);
            if answer.is_err() && gone {
                moved = true;
                continue;
            }
            return (node, moved, answer);
        }
    }
}

async fn product(
    connections: &mut BTreeMap<usize, Connection>,
    node: usize,
    at: SocketAddr,
    place: Place,
) -> Result<Answer> {
    // Not in the map while it is asked: one that failed is opened anew.
    let mut connection = match connections.remove(&node) {
        Some(connection) => connection,
        None => Connection::open(at).await?,
    };
    let answer = connection.product(place).await?;
    connections.insert(node, connection);
    Ok(answer)
}
