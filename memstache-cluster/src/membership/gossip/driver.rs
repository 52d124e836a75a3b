//! Gives the machine sockets, time and a task.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt as _,
    future::{Either, pending, select},
    stream::FuturesUnordered,
};
use memstache_core::{BoxFuture, Clock, Tick};

use super::{
    handle::Shared,
    machine::{Phase, Wish},
    parameters::DISCOVERY,
};
use crate::{
    member::Member,
    membership::{Discovery, SeedStream, StateStream},
    net::Datagrams,
};

/// How long an exchange may take.
const EXCHANGE: Duration = Duration::from_secs(5);
/// How many errands may be under way.
const ERRANDS: usize = 4;
/// How long sending may hold up the rest. Datagrams that wait longer are lost, as datagrams are.
const SEND: Duration = Duration::from_millis(200);
/// How long a socket that fails is left alone.
const REST: Duration = Duration::from_millis(100);

/// The task of one node's gossip.
pub(super) struct Driver {
    shared: Arc<Shared>,
    datagrams: Arc<dyn Datagrams>,
    discovery: Arc<dyn Discovery>,
    seeds: Option<SeedStream>,
    errands: FuturesUnordered<BoxFuture<'static, Errand>>,
    /// Discovery is being asked.
    asking: bool,
    /// It is being told of this node.
    registering: bool,
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
enum Errand {
    Asked,
    Registered,
    Exchanged,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, datagrams: Arc<dyn Datagrams>, discovery: Arc<dyn Discovery>) -> Self {
        let seeds = discovery.watch();
        Self {
            shared,
            datagrams,
            discovery,
            seeds,
            errands: FuturesUnordered::new(),
            asking: false,
            registering: false,
        }
    }

    pub(super) async fn run(mut self) {
        let mut buffer = BytesMut::new();
        loop {
            let (out, next, phase) = self.look();
            send(&*self.datagrams, &*self.shared.clock, out).await;
            self.shared.looked.notify_waiters();
            if matches!(phase, Phase::Left | Phase::Replaced) {
                return;
            }
            let clock = Arc::clone(&self.shared.clock);
            let datagrams = Arc::clone(&self.datagrams);
            tokio::select! {
                biased;
                received = datagrams.recv_from(&mut buffer) => match received {
                    Ok(from) => self.shared.machine.lock().on_datagram(from, &mut buffer, clock.now()),
                    Err(_) => clock.sleep_until(clock.now().after(REST)).await,
                },
                () = self.shared.asked.notified() => {}
                seeds = next_seeds(&mut self.seeds) => match seeds {
                    Some(seeds) => self.shared.machine.lock().set_seeds(seeds, clock.now()),
                    None => self.seeds = None,
                },
                Some(errand) = self.errands.next() => {
                    self.asking &= errand != Errand::Asked;
                    self.registering &= errand != Errand::Registered;
                }
                () = clock.sleep_until(next) => {}
            }
        }
    }

    /// Lets the machine do what is due, and takes what it has to say.
    fn look(&mut self) -> (Vec<(SocketAddr, Bytes)>, Tick, Phase) {
        let shared = Arc::clone(&self.shared);
        let now = shared.clock.now();
        let mut machine = shared.machine.lock();
        if machine.next_time() <= now {
            machine.on_time(now);
        }
        let out = std::iter::from_fn(|| machine.poll_send()).collect();
        let wishes: Vec<_> = std::iter::from_fn(|| machine.poll_wish()).collect();
        let wants_discovery = wishes.contains(&Wish::Discover);
        // What is too much at once is wished for again.
        let room = ERRANDS.saturating_sub(self.errands.len());
        let errands: Vec<_> =
            wishes.into_iter().filter_map(|wish| self.errand(wish, || machine.state())).take(room).collect();
        let members = machine.poll_members(now);
        let (next, phase) = (machine.next_time(), machine.phase());
        drop(machine);
        let asked = wants_discovery && !self.registering && shared.registration.is_wanted();
        self.errands.extend(errands);
        if asked {
            self.registering = true;
            self.errands.push(Box::pin(register(Arc::clone(&shared))));
        }
        if let Some(members) = members {
            self.shared.members.send_if_modified(|before| {
                let other = *before != members;
                *before = members;
                other
            });
        }
        (out, next, phase)
    }

    fn errand(&mut self, wish: Wish, state: impl FnOnce() -> Bytes) -> Option<BoxFuture<'static, Errand>> {
        let shared = Arc::clone(&self.shared);
        match wish {
            // It is asked again soon enough.
            Wish::Discover if self.asking => None,
            Wish::Discover => {
                self.asking = true;
                // A stream that has ended says nothing any more.
                self.seeds = self.seeds.take().or_else(|| self.discovery.watch());
                Some(Box::pin(ask(shared, Arc::clone(&self.discovery))))
            }
            Wish::Exchange(member) => {
                let (deadline, stream) = (shared.clock.now().after(EXCHANGE), shared.stream.lock().clone()?);
                Some(Box::pin(exchange(shared, stream, member, state(), deadline)))
            }
        }
    }
}

/// Asks discovery.
async fn ask(shared: Arc<Shared>, discovery: Arc<dyn Discovery>) -> Errand {
    let deadline = shared.clock.now().after(DISCOVERY);
    match first(discovery.discover(), shared.clock.sleep_until(deadline)).await {
        Some(Ok(seeds)) => shared.machine.lock().set_seeds(seeds, shared.clock.now()),
        Some(Err(error)) => failed(&shared, error.kind().as_str(), "discovery failed; what it said before is kept"),
        None => failed(&shared, "timeout", "discovery does not answer; what it said before is kept"),
    }
    Errand::Asked
}

/// Has discovery take note of this node, which it did not yet.
async fn register(shared: Arc<Shared>) -> Errand {
    let me = shared.machine.lock().me().clone();
    if let Err(error) = shared.registration.try_again(&me).await {
        failed(&shared, error.kind().as_str(), "discovery did not take note of this node; it is asked again");
    }
    Errand::Registered
}

fn failed(shared: &Shared, kind: &str, what: &str) {
    shared.machine.lock().discovery_failed();
    tracing::debug!(kind, "{what}");
}

async fn send(datagrams: &dyn Datagrams, clock: &dyn Clock, out: Vec<(SocketAddr, Bytes)>) {
    if out.is_empty() {
        return;
    }
    let all = async {
        for (to, datagram) in out {
            // A datagram that cannot be sent is a lost one.
            let _ = datagrams.send_to(&datagram, to).await;
        }
    };
    first(all, clock.sleep_until(clock.now().after(SEND))).await;
}

async fn exchange(
    shared: Arc<Shared>,
    stream: Arc<dyn StateStream>,
    with: Member,
    state: Bytes,
    deadline: Tick,
) -> Errand {
    let answer = first(stream.exchange(&with, state), shared.clock.sleep_until(deadline)).await;
    if let Some(Ok(answer)) = answer {
        // What is no list of members was counted.
        let _ = shared.machine.lock().merge(&answer, shared.clock.now());
    }
    Errand::Exchanged
}

async fn next_seeds(seeds: &mut Option<SeedStream>) -> Option<Vec<SocketAddr>> {
    match seeds {
        Some(seeds) => seeds.next().await,
        None => pending().await,
    }
}

/// What a future gives, if it does before the other ends.
pub(super) async fn first<T>(work: impl Future<Output = T>, end: impl Future<Output = ()>) -> Option<T> {
    match select(std::pin::pin!(work), std::pin::pin!(end)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}
